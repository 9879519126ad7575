// Prints the milliseconds of work that is always the same: where it takes longer, something else was going on.

const LOOPS = 40_000_000;

const began = performance.now();
let state = 1;
for (let i = 0; i < LOOPS; i++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
const tookMs = performance.now() - began;
// Looked at, so that it is not left out.
process.stdout.write(String(state === 0 ? 0 : tookMs));
