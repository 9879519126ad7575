import { createContext, useContext, useMemo, type ReactNode } from 'react';
import { Provider } from 'urql';
import { ThreadClientProvider } from '../../client/react.ts';
import { createClients, type Clients } from './client.ts';
import { session } from './session.ts';
import { useValue } from './store.ts';

const ClientsContext = createContext<Clients | undefined>(undefined);

/** Gives the clients to all screens. A new credential replaces them, and every screen reads again. */
export function DataProvider({ children }: { children: ReactNode }) {
  const { credential } = useValue(session);
  const clients = useMemo(() => createClients(credential), [credential]);
  return (
    <ClientsContext value={clients}>
      <Provider value={clients.api}>
        <ThreadClientProvider client={clients.threads}>{children}</ThreadClientProvider>
      </Provider>
    </ClientsContext>
  );
}

/** The urql client, for requests outside of its hooks. */
export function useApi(): Clients['api'] {
  const clients = useContext(ClientsContext);
  if (!clients) throw new Error('There is no DataProvider around this component.');
  return clients.api;
}
