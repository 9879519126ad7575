import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';

/** A proxy of a database that can become silent: connections stay open, new connections are accepted, but no data passes. */
export interface SilentWay extends AsyncDisposable {
  /** The URL of the database through the proxy. */
  databaseUrl: string;
  silence(): void;
  /** Delivers the data of the silent time. */
  speak(): void;
}

/** Listens in front of a PostgreSQL until it is disposed of. */
export async function openSilentWay(databaseUrl: string): Promise<SilentWay> {
  const target = new URL(databaseUrl);
  const sockets = new Set<net.Socket>();
  let isSilent = false;
  const proxy = net.createServer((near) => {
    const far = net.connect(Number(target.port || 5432), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => void to.write(data));
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('error', () => {});
      if (isSilent) from.pause();
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  return {
    databaseUrl: Object.assign(new URL(databaseUrl), { host: `127.0.0.1:${port}` }).href,
    silence() {
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    speak() {
      isSilent = false;
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
