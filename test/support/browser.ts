import { execFileSync } from 'node:child_process';
import { chromium, type Browser } from 'playwright-core';

/** The browser of this machine. Undefined without one: then the tests that need it are skipped. */
export const browserPath = findBrowser();

function findBrowser(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // The machine has no program with this name.
    }
  }
  return undefined;
}

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: browserPath as string,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      // A page that Playwright serves has no address, and may connect to this machine only without these checks.
      '--disable-features=LocalNetworkAccessChecks',
    ],
  });
}
