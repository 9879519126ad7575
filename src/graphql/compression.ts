import type { Plugin } from 'graphql-yoga';
import { compress, encodingFor } from '../http/encoding.ts';

/** A smaller answer fits into three packets, and gains nothing. */
const COMPRESS_FROM_BYTES = 4096;

/**
 * Compresses large JSON answers for clients that accept it. Streams stay as they are: their events must not wait. An answer
 * has no secrets of the server beside the text of a client, so its length tells nothing (BREACH).
 */
export function useCompression(): Plugin {
  return {
    async onResponse({ request, response, setResponse, fetchAPI }) {
      const { headers } = response;
      if (Number(headers.get('content-length')) < COMPRESS_FROM_BYTES) return;
      if (!/^application\/(graphql-response\+)?json\b/.test(headers.get('content-type') ?? ''))
        return;
      const encoding = encodingFor(request.headers.get('accept-encoding'));
      if (!encoding) return;
      const body = await compress(await response.text(), encoding);
      headers.set('content-encoding', encoding);
      headers.set('content-length', String(body.length));
      setResponse(new fetchAPI.Response(body, { status: response.status, headers }));
    },
  };
}
