/** The stored bytes left for an operation. */
export interface Budget {
  readonly bytesLeft: number;
  /** Counts bytes. Throws if they are more than `bytesLeft`. */
  charge(bytes: number): void;
  /** Waits for permission to read more than LARGE_BYTES. */
  beforeLarge(): Promise<void>;
}

/** A read of more bytes is large. Only a few operations have large reads at a time. */
const LARGE_BYTES = 1_048_576;

/** The result of a read with a limit. If `bytes` is above the limit, the content is missing. */
export interface Measured<Content> {
  /** The bytes of the whole content. */
  bytes: number;
  content: Content;
}

/**
 * Reads within a budget. `read` gets the most bytes to return, or undefined without a budget. It is called a second time if the
 * content is large, after the permission for it. Throws, without content in memory, if the content is larger than the budget.
 */
export async function readWithin<Content>(
  budget: Budget | undefined,
  read: (mostBytes: number | undefined) => Promise<Measured<Content>>,
): Promise<Content> {
  if (!budget) return (await read(undefined)).content;
  const mostBytes = budget.bytesLeft;
  const { bytes, content } = await read(Math.min(mostBytes, LARGE_BYTES));
  budget.charge(bytes);
  if (bytes <= LARGE_BYTES) return content;
  await budget.beforeLarge();
  const whole = await read(mostBytes);
  // Other writers may have added to it.
  budget.charge(Math.max(whole.bytes - bytes, 0));
  return whole.content;
}
