/** Whether an answer of this content type has no end of its own: a subscription over SSE or in multipart. */
export function isStream(contentType: unknown): boolean {
  return /^(text\/event-stream|multipart\/mixed)\b/.test(String(contentType));
}
