// The script of the GraphiQL page, in the browser. graphiql-assets.ts serves it after the libraries that it uses:
// YogaGraphiQL and graphqlWs.
const { YogaGraphiQL, graphqlWs } = globalThis;
const settings = JSON.parse(document.getElementById('settings').textContent);
const endpoint = new URL(location.pathname, location.href).toString();

/** Answers of a subscription that stay on the page. */
const MOST_ANSWERS = 1000;
/** Many events may come at once. The page shows them together. */
const SHOW_EVERY_MS = 100;

globalThis.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_module, label) => new URL(settings.workers[label], location.href).toString(),
};

/** GraphiQL stores the headers of tabs and of its history. They may contain a key, so the browser keeps none of them. */
const store = Storage.prototype.setItem;
Storage.prototype.setItem = function setItem(name, text) {
  if (name !== 'graphiql:headers') store.call(this, name, withoutHeaders(text));
};

function withoutHeaders(text) {
  try {
    return JSON.stringify(JSON.parse(text), (name, value) => (name === 'headers' ? null : value));
  } catch {
    return text;
  }
}

/** The WebSocket with the headers of the last subscription. */
let socket;
let socketHeaders;

function socketWith(headers = {}) {
  const text = JSON.stringify(headers);
  if (text === socketHeaders) return socket;
  socket?.dispose();
  socketHeaders = text;
  socket = graphqlWs.createClient({
    url: endpoint.replace('http', 'ws'),
    connectionParams: headers,
    // A retry would begin with the first event again.
    retryAttempts: 0,
  });
  return socket;
}

/** Sends an operation of GraphiQL. Subscriptions use a WebSocket. */
function fetcher({ query, variables, operationName }, { headers, documentAST } = {}) {
  const operation = { query, variables, operationName };
  const definition = documentAST?.definitions.find(
    ({ kind, name }) =>
      kind === 'OperationDefinition' && (!operationName || name?.value === operationName),
  );
  return definition?.operation === 'subscription'
    ? { subscribe: (sink) => ({ unsubscribe: follow(operation, sink, headers) }) }
    : ask(operation, headers);
}

async function ask(operation, headers) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      accept: 'application/graphql-response+json, application/json',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(operation),
  });
  return response.json();
}

/** Shows all answers of a subscription, the newest first. GraphiQL itself shows only the newest. */
function follow(operation, sink, headers) {
  const answers = [];
  let showing;
  const show = () => {
    showing = undefined;
    const [newest, ...earlier] = answers;
    if (newest)
      sink.next(earlier.length > 0 ? { ...newest, earlier: earlier.map(inBrief) } : newest);
  };
  const add = (answer) => {
    answers.unshift(answer);
    answers.length = Math.min(answers.length, MOST_ANSWERS);
    showing ??= setTimeout(show, SHOW_EVERY_MS);
  };
  const end = () => {
    clearTimeout(showing);
    show();
    sink.complete();
  };
  return socketWith(headers).subscribe(operation, {
    next: add,
    error(error) {
      add({ errors: errorsOf(error) });
      end();
    },
    complete: end,
  });
}

function inBrief({ data, ...others }) {
  return Object.keys(others).length > 0 ? { data, ...others } : data;
}

/** An error is a list of GraphQL errors, an Error, or the event of a closed connection. */
function errorsOf(error) {
  if (Array.isArray(error)) return error;
  const message = error?.message || `The connection closed: ${error?.reason || error?.code}.`;
  return [{ message }];
}

const { tabs } = settings;
const search = new URLSearchParams(location.search);
const hasQuery = search.has('query');

YogaGraphiQL.renderYogaGraphiQL(document.getElementById('root'), {
  title: settings.title,
  logo: `<img src="${settings.icon}" alt="" width="24" height="24">`,
  fetcher,
  defaultEditorToolsVisibility: false,
  ...(tabs.length > 0 && { defaultTabs: tabs }),
  // A link may have the variables of its query. GraphiQL itself reads the query only.
  ...(search.has('variables') && { variables: search.get('variables') }),
  // Without this, a reload opens an empty tab.
  ...(!hasQuery && tabs[0]),
});
