// Prints the milliseconds of a constant amount of work. A higher time means: the machine was busy.

const LOOPS = 40_000_000;

const began = performance.now();
let state = 1;
for (let i = 0; i < LOOPS; i++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
const tookMs = performance.now() - began;
// Reads the result, so the compiler cannot drop the loop.
process.stdout.write(String(state === 0 ? 0 : tookMs));
