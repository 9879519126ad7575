const PAGE = 50;

/** The variables of a page of a list, from the cursors of its URL. */
export function pageOf({
  after,
  before,
}: {
  after?: string | undefined;
  before?: string | undefined;
}) {
  return before ? { last: PAGE, before } : { first: PAGE, after: after ?? null };
}
