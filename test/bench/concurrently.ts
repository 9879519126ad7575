/** Calls `act` with 0, 1, 2 … from several parallel loops, until it returns false. */
export async function concurrently(
  loops: number,
  act: (i: number) => Promise<boolean>,
): Promise<void> {
  let next = 0;
  const loop = async () => {
    while (await act(next++));
  };
  await Promise.all(Array.from({ length: loops }, loop));
}
