import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useMutation, useQuery } from 'urql';
import { useGraphs } from '../../data/graphs.ts';
import { useMayWrite } from '../../data/viewer.ts';
import { Button } from '../../ui/Button.tsx';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { countOf, Screen } from '../../ui/Screen.tsx';
import { CREATE_GRAPH_THREAD, READ_SCHEMAS } from './documents.ts';
import { GraphDrawing } from './GraphDrawing.tsx';
import classes from './GraphsScreen.module.css';
import { SchemaTable } from './SchemaTable.tsx';

/** The graphs of the server, and the one of the address with its drawing and its schemas. */
export function GraphsScreen() {
  const { graphId } = useParams({ strict: false });
  const { graphs, error } = useGraphs();
  const shown = graphId ?? graphs?.[0];
  return (
    <Screen title={graphId ? `Graph ${graphId}` : 'Graphs'} count={graphs?.length}>
      <ErrorNote error={error} />
      {!graphs && !error && <Loading />}
      {graphs?.length === 0 && <NoGraphs />}
      {shown && (
        <div className={classes['panes']}>
          <nav className={classes['names']} aria-label="Graphs">
            {graphs?.map((id) => (
              <Link
                key={id}
                to="/graphs/$graphId"
                params={{ graphId: id }}
                aria-current={id === shown ? 'page' : undefined}
              >
                {id}
              </Link>
            ))}
          </nav>
          <GraphPane key={shown} id={shown} />
        </div>
      )}
    </Screen>
  );
}

function NoGraphs() {
  return (
    <Empty icon="graphs" title="No graphs yet">
      <p>
        A <strong>graph</strong> is your code: nodes that change a state. The file{' '}
        <code>langgraph.json</code> lists the graphs that the server loads when it starts.
      </p>
    </Empty>
  );
}

function GraphPane({ id }: { id: string }) {
  const [{ data, error }] = useQuery({ query: READ_SCHEMAS, variables: { id } });
  const none = 'The graph declares none.';
  return (
    <article className={classes['pane']}>
      <ErrorNote error={error} />
      {data && !data.graph && (
        <Empty icon="search" title="This graph does not exist">
          <p>
            No graph of <code>langgraph.json</code> has the name <code>{id}</code>.
          </p>
        </Empty>
      )}
      {data?.graph && (
        <>
          <NextSteps id={id} assistants={data.assistants?.totalCount ?? 0} />
          <GraphDrawing graphId={id} />
          <div className={classes['schemas']}>
            <SchemaTable title="Input of a run" schema={data.graph.inputSchema} missing={none} />
            <SchemaTable title="State of a thread" schema={data.graph.stateSchema} missing={none} />
            <SchemaTable title="Output of a run" schema={data.graph.outputSchema} missing={none} />
            <SchemaTable
              title="Context of assistants and runs"
              schema={data.graph.contextSchema}
              missing="The graph declares none: its nodes read no context."
            />
          </div>
        </>
      )}
    </article>
  );
}

/** What a person does next with a graph. */
function NextSteps({ id, assistants }: { id: string; assistants: number }) {
  const [{ error, fetching }, create] = useMutation(CREATE_GRAPH_THREAD);
  const navigate = useNavigate();
  const mayWrite = useMayWrite();

  async function start(): Promise<void> {
    const { data } = await create({ graphId: id });
    const threadId = data?.createThread?.id;
    if (threadId) await navigate({ to: '/threads/$threadId', params: { threadId } });
  }

  return (
    <div className={classes['next']}>
      <h2>{id}</h2>
      <Link to="/assistants" search={{ graph: id }}>
        {countOf(assistants)} {assistants === 1 ? 'assistant' : 'assistants'}
      </Link>
      <Link to="/threads" search={{ graph: id }}>
        Threads
      </Link>
      <Link to="/runs" search={{ graph: id }}>
        Runs
      </Link>
      {mayWrite && (
        <Button look="primary" icon="plus" disabled={fetching} onClick={() => void start()}>
          New thread
        </Button>
      )}
      <ErrorNote error={error} />
    </div>
  );
}
