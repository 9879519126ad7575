import { readdirSync } from 'node:fs';
import path from 'node:path';
import { isImportDeclaration, isNamedImports, isStringLiteral } from 'typescript/unstable/ast/is';
import { API, SignatureKind, type Checker, type Type } from 'typescript/unstable/sync';
import { describe, expect, it } from 'vitest';

// Reads the types of all functions that the schema files and the rest files import. These files read no rows themselves: the linter
// refuses it.

const root = path.join(import.meta.dirname, '..');

/** Functions without a viewer, and the object of the client that they read a part of. */
const PARTS: Record<string, string> = {
  'assistants/versions.ts listVersions': 'an assistant',
  'assistants/versions.ts sliceVersions': 'an assistant',
  'checkpoints/history.ts listHistory': 'a thread',
  'checkpoints/history.ts readHistory': 'a thread',
  'checkpoints/preview.ts findPreview': 'a thread',
  'checkpoints/shown-messages.ts entryOf': 'a message',
  'checkpoints/shown-messages.ts stateBefore': 'a message',
  'checkpoints/shown-messages.ts versionsOf': 'a message',
  'checkpoints/states.ts findCurrentStates': 'threads',
  'checkpoints/states.ts findState': 'a checkpoint',
  'checkpoints/states.ts statesOf': 'checkpoints',
  'checkpoints/tasks.ts subgraphState': 'a checkpoint',
  'checkpoints/usage.ts findUsage': 'a run',
  'db/operation-limits.ts limitedSql': 'no row: it limits the statements of an operation',
  'interrupts/search.ts findInterrupts': 'an event',
  'interrupts/search.ts findInterruptsOfRun': 'a run',
  'interrupts/search.ts interruptsOf': 'a checkpoint',
  'interrupts/search.ts pendingInterruptsOf': 'threads',
  'runs/current-run.ts lastNumberBefore': 'a run',
  'runs/event-values.ts debugDataOf': 'an event',
  'runs/event-values.ts valuesOfEvent': 'an event',
  'runs/events.ts eventCursor': 'a thread',
  'runs/last.ts findLastRun': 'a thread',
  'runs/wait.ts workAndWait': 'no row: its argument does the work',
  'threads/config.ts lastConfig': 'a thread',
  'threads/state.ts currentState': 'a thread',
  'threads/state.ts stateAt': 'a thread',
  'threads/state.ts storageBytes': 'a thread',
  'threads/state.ts storageDetails': 'a thread',
  'threads/state.ts threadOfCheckpoint': 'a checkpoint',
};

/** Parts of the server with which a function reads or follows rows. */
const SOURCES = ['sql', 'unlimitedSql', 'db', 'tail', 'changes', 'assistants', 'query'];

const propertiesOf = (checker: Checker, type: Type) =>
  checker.getPropertiesOfType(type).map(({ name }) => name);

/** Whether a parameter of this type gives access to rows. */
function isSource(checker: Checker, type: Type): boolean {
  if (['Query', 'Sql', 'PrismaClient'].includes(checker.typeToString(type))) return true;
  return propertiesOf(checker, type).some((name) => SOURCES.includes(name));
}

/** Whether a parameter of this type is a viewer, or has one. */
function hasViewer(checker: Checker, type: Type): boolean {
  const names = propertiesOf(checker, type);
  return (
    names.includes('viewer') || ['tenant', 'identity', 'sees'].every((name) => names.includes(name))
  );
}

/** The functions that a file imports from others, with the types of their parameters. Without those of files that only translate. */
function importsOf({ program, checker }: ReturnType<typeof openProject>['project'], file: string) {
  const statements = program.getSourceFile(path.join(root, 'src', file))?.statements ?? [];
  return [...statements].flatMap((statement) => {
    if (!isImportDeclaration(statement) || !isStringLiteral(statement.moduleSpecifier)) return [];
    const { text: from } = statement.moduleSpecifier;
    const bindings = statement.importClause?.namedBindings;
    if (!from.startsWith('.') || !bindings || !isNamedImports(bindings)) return [];
    const source = path.posix.join(path.posix.dirname(file), from);
    if (TRANSLATES.test(source)) return [];
    return [...bindings.elements].flatMap(({ name }) => {
      const symbol = checker.getSymbolAtLocation(name);
      const type = symbol && checker.getTypeOfSymbol(checker.getAliasedSymbol(symbol));
      const signatures = type ? checker.getSignaturesOfType(type, SignatureKind.Call) : [];
      return signatures.map((signature) => ({
        name: `${source} ${name.text}`,
        types: signature.getParameters().flatMap((parameter): Type[] => {
          const type = checker.getTypeOfSymbol(parameter);
          return type ? [type] : [];
        }),
      }));
    });
  });
}

function openProject() {
  const api = new API({ cwd: root });
  const tsconfig = path.join(root, 'tsconfig.json');
  const project = api.updateSnapshot({ openProjects: [tsconfig] }).getProject(tsconfig);
  if (!project) throw new Error('The project has no tsconfig.json.');
  return { project, [Symbol.dispose]: () => api.close() };
}

/** The schema files and the rest files, which only translate. */
const TRANSLATES = /^(\w+\/(schema|rest)(-\w+)*|graphql\/node|rest\/\w+(-\w+)*)\.ts$/;

describe('A function that the API calls', () => {
  it(
    'takes the viewer, or reads a part of an object that the viewer has',
    { timeout: 180_000 },
    () => {
      using opened = openProject();
      const { checker } = opened.project;
      const files = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' });
      const functions = files
        .filter((file) => TRANSLATES.test(file))
        .flatMap((file) => importsOf(opened.project, file))
        .filter(({ types }) => types.some((type) => isSource(checker, type)));
      const [scoped, unscoped] = [true, false].map((isScoped) => {
        const found = functions.filter(
          ({ types }) => types.some((type) => hasViewer(checker, type)) === isScoped,
        );
        return [...new Set(found.map(({ name }) => name))].toSorted();
      });
      // The functions are found at all.
      expect(scoped).toEqual(
        expect.arrayContaining([
          'runs/create.ts createRun',
          'threads/search.ts listThreads',
          'threads/search.ts searchThreads',
        ]),
      );
      expect(
        unscoped,
        'A new domain function takes a Viewer, and its statements have the scope of src/auth/scope.ts. If it reads a part of an object that the viewer has, add it to PARTS.',
      ).toEqual(Object.keys(PARTS).toSorted());
    },
  );
});
