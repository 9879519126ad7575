/** Aborted when the client that sent a request over HTTP has gone. Over a WebSocket there is none: it may ask for more. */
export function clientLeft(context: object): AbortSignal | undefined {
  // Yoga puts the request beside what is ours.
  return (context as { request?: Pick<Request, 'signal'> }).request?.signal;
}
