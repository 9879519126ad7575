import { randomUUID } from 'node:crypto';
import type { BaseMessage } from '@langchain/core/messages';
import { AIMessage, ToolMessage } from '@langchain/core/messages';
import { END, MessagesZodState, START, StateGraph, interrupt } from '@langchain/langgraph';
import { z } from 'zod';

interface State {
  messages: BaseMessage[];
}

const Email = z.object({ to: z.string(), body: z.string() });

/** The answer to the interrupt. */
const Decision = z.object({
  approved: z.boolean().describe('Whether the e-mail may be sent.'),
  reason: z.string().optional().describe('Why not, for the agent.'),
});

/** An agent with an approval by a person before an e-mail. It is a simulation: it calls no model and sends no e-mail. */
export const graph = new StateGraph(MessagesZodState)
  .addNode('agent', agent)
  .addNode('tools', runTools)
  .addEdge(START, 'agent')
  .addConditionalEdges('agent', nextOf, ['tools', END])
  .addEdge('tools', 'agent')
  .compile({ name: 'approval' });

/** Stands for the model: a request becomes a tool call, and the result of the tool an answer. */
function agent({ messages }: State): State {
  const last = messages.at(-1);
  const message =
    last?.type === 'tool'
      ? new AIMessage(`The tool says: ${last.text}`)
      : new AIMessage({ content: '', tool_calls: [proposeEmail(last?.text ?? '')] });
  return { messages: [message] };
}

function proposeEmail(request: string) {
  const to = /\S+@\S+\w/.exec(request)?.[0] ?? 'team@example.com';
  return { id: randomUUID(), name: 'send_email', args: { to, body: request } };
}

function nextOf({ messages }: State): 'tools' | typeof END {
  return toolCallsOf(messages).length > 0 ? 'tools' : END;
}

function runTools({ messages }: State): State {
  return {
    messages: toolCallsOf(messages).map(({ id, name, args }) => {
      const email = Email.parse(args);
      // The run ends here. With the answer, the node starts again: the code before this line must be safe to repeat.
      const { approved, reason } = interrupt<unknown, z.infer<typeof Decision>>(
        { question: `Send this e-mail to ${email.to}?`, toolCall: { id, name, args } },
        { responseSchema: Decision },
      );
      const content = approved ? sendEmail(email) : `Not sent: ${reason ?? 'a person said no'}.`;
      return new ToolMessage({ tool_call_id: id ?? '', name, content });
    }),
  };
}

function toolCallsOf(messages: BaseMessage[]) {
  const last = messages.at(-1);
  return AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
}

function sendEmail({ to }: z.infer<typeof Email>): string {
  return `E-mail sent to ${to}.`;
}
