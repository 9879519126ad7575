import { useMutation } from 'urql';
import { useMayWrite } from '../../data/viewer.ts';
import { Button } from '../../ui/Button.tsx';
import { showJson } from '../../ui/json/parse.ts';
import { ErrorNote } from '../../ui/Notes.tsx';
import { list } from '../../ui/Screen.tsx';
import classes from './assistants.module.css';
import { changesBetween } from './difference.ts';
import { ACTIVATE_VERSION, type AssistantVersion, type ShownAssistant } from './documents.ts';

interface VersionViewProps {
  assistant: ShownAssistant;
  version: AssistantVersion;
  /** The version to compare with. Undefined for the first one. */
  other: AssistantVersion | undefined;
  onCompare: (version: string) => void;
  onEdit: () => void;
}

/** A version: its difference to another one, and its fields. */
export function VersionView({ assistant, version, other, onCompare, onEdit }: VersionViewProps) {
  const [{ error, fetching }, activate] = useMutation(ACTIVATE_VERSION);
  const mayWrite = useMayWrite();
  const isActive = version.version === assistant.version;
  return (
    <article className={classes['view']} aria-label={`Version ${version.version}`}>
      <header className={classes['head']}>
        <h2>Version {version.version}</h2>
        {isActive && <span className={classes['active']}>active</span>}
        {mayWrite && (
          <span className={classes['tools']}>
            {!isActive && (
              <Button
                icon="check"
                disabled={fetching}
                onClick={() => void activate({ id: assistant.id, version: version.version })}
              >
                Make it active
              </Button>
            )}
            <Button icon="edit" onClick={onEdit}>
              Edit as a new version
            </Button>
          </span>
        )}
      </header>
      <ErrorNote error={error} />
      {assistant.versions.nodes.length > 1 && (
        <Difference
          versions={assistant.versions.nodes}
          version={version}
          other={other}
          onCompare={onCompare}
        />
      )}
      <dl className={classes['fields']}>
        <dt>Name</dt>
        <dd>{version.name}</dd>
        {version.description && (
          <>
            <dt>Description</dt>
            <dd>{version.description}</dd>
          </>
        )}
        <dt>Graph</dt>
        <dd>{version.graphId}</dd>
      </dl>
      <Json name="Context" value={version.context} />
      <Json name="Config" value={version.config} />
      <Json name="Metadata" value={version.metadata} />
    </article>
  );
}

function Json({ name, value }: { name: string; value: object }) {
  return (
    <section className={classes['part']} aria-label={name}>
      <h3>{name}</h3>
      {Object.keys(value).length === 0 ? (
        <span className={list.soft}>Nothing is set.</span>
      ) : (
        <pre tabIndex={0} className={classes['json']}>
          {showJson(value)}
        </pre>
      )}
    </section>
  );
}

interface DifferenceProps {
  versions: readonly AssistantVersion[];
  version: AssistantVersion;
  other: AssistantVersion | undefined;
  onCompare: (version: string) => void;
}

/** The changed values of two versions, side by side. */
function Difference({ versions, version, other, onCompare }: DifferenceProps) {
  const changes = other ? changesBetween(contentOf(other), contentOf(version)) : [];
  return (
    <section className={classes['part']} aria-label="Difference">
      <label className={classes['compare']}>
        <h3>Changes since</h3>
        <select value={other?.version ?? ''} onChange={(event) => onCompare(event.target.value)}>
          {!other && <option value="">no version</option>}
          {versions
            .filter((each) => each !== version)
            .map((each) => (
              <option key={each.version} value={each.version}>
                version {each.version}
              </option>
            ))}
        </select>
      </label>
      {other && changes.length === 0 && <span className={list.soft}>The two are equal.</span>}
      {changes.length > 0 && (
        <div className={classes['table']}>
          <table className={list.table}>
            <thead>
              <tr>
                <th>Field</th>
                <th>Version {other?.version}</th>
                <th>Version {version.version}</th>
              </tr>
            </thead>
            <tbody>
              {changes.map(({ path, before, after }) => (
                <tr key={path}>
                  <th scope="row">{path}</th>
                  <td className={classes['removed']}>{shown(before)}</td>
                  <td className={classes['added']}>{shown(after)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function contentOf({ version: _version, createdAt: _createdAt, ...content }: AssistantVersion) {
  return content;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '–';
  return typeof value === 'string' ? value : showJson(value);
}
