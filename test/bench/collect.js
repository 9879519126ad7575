// Loaded into each measured server. It collects garbage on demand, so the measured memory contains no garbage.

process.on('SIGUSR2', () => globalThis.gc?.());
