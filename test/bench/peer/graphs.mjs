import * as models from '@langchain/core/language_models/chat_models';
import * as messages from '@langchain/core/messages';
import * as outputs from '@langchain/core/outputs';
import * as langgraph from '@langchain/langgraph';
import { createGraphs } from '../graphs/factory.ts';

export const { echo, steps10, tokens, slow } = createGraphs({
  langgraph,
  messages,
  models,
  outputs,
});
