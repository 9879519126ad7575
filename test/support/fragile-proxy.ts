import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

/** A proxy in front of a server. The test breaks and mends its connections. */
export interface FragileProxy extends AsyncDisposable {
  /** The GraphQL endpoint of the server, through the proxy. */
  url: string;
  /** Counts the connections refused while the proxy is broken. */
  refused: number;
  /** Closes all connections, and refuses new ones until `mend`. */
  cut(): void;
  /** Cuts before the first data from the server with this text. */
  cutBefore(text: string): void;
  mend(): void;
}

export async function openFragileProxy(serverUrl: string): Promise<FragileProxy> {
  const near = new Set<Socket>();
  let broken = false;
  let lastText: string | undefined;
  const listener = net.createServer((socket) => {
    if (broken) {
      proxy.refused += 1;
      socket.destroy();
      return;
    }
    near.add(socket);
    const far = net.connect(Number(new URL(serverUrl).port), '127.0.0.1');
    pipeline(socket, far, pass, socket, () => near.delete(socket));
  });

  /** Passes data of the server on, until the cut. */
  async function* pass(chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      if (lastText !== undefined && chunk.includes(lastText)) proxy.cut();
      if (!broken) yield chunk;
    }
  }

  const proxy: FragileProxy = {
    url: '',
    refused: 0,
    cut() {
      broken = true;
      lastText = undefined;
      for (const socket of near) socket.destroy();
    },
    cutBefore(text) {
      lastText = text;
    },
    mend() {
      broken = false;
    },
    async [Symbol.asyncDispose]() {
      proxy.cut();
      listener.close();
      await once(listener, 'close');
    },
  };
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  proxy.url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/graphql`;
  return proxy;
}
