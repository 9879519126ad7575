import { useState } from 'react';
import { session, signIn, type Credential } from '../data/session.ts';
import { useValue } from '../data/store.ts';
import { Button } from '../ui/Button.tsx';
import { Dialog, DialogActions } from '../ui/Dialog.tsx';
import { Field } from '../ui/Field.tsx';

/** Asks for a credential, above the page: what the person typed there stays. */
export function SignIn() {
  const { credential, isRefused } = useValue(session);
  if (!isRefused) return null;
  return (
    <Dialog title={credential ? 'Sign in again' : 'Sign in'} onClose={() => {}}>
      <p>
        {credential
          ? 'The server no longer accepts this credential. Your work on the page is still there.'
          : 'This server wants to know who you are.'}
      </p>
      <SignInForm before={credential} />
    </Dialog>
  );
}

function SignInForm({ before }: { before: Credential | undefined }) {
  const [kind, setKind] = useState<Credential['kind']>(before?.kind ?? 'key');
  const [value, setValue] = useState('');
  const [remember, setRemember] = useState(false);
  const name = kind === 'key' ? 'API key' : 'Token';
  return (
    <form
      style={{ display: 'contents' }}
      onSubmit={(event) => {
        event.preventDefault();
        signIn({ kind, value: value.trim() }, { remember });
        setValue('');
      }}
    >
      <Field label="Sign in with">
        {(ids) => (
          <select
            {...ids}
            value={kind}
            onChange={(event) => setKind(event.target.value as Credential['kind'])}
          >
            <option value="key">API key</option>
            <option value="token">Token (JWT)</option>
          </select>
        )}
      </Field>
      <Field label={name} hint="It is kept for this tab, and sent to this server only.">
        {(ids) => (
          <input
            {...ids}
            type="password"
            autoComplete="off"
            required
            value={value}
            onChange={(event) => setValue(event.target.value)}
          />
        )}
      </Field>
      <label>
        <input
          type="checkbox"
          checked={remember}
          onChange={(event) => setRemember(event.target.checked)}
        />
        Keep it in this browser, also after the tab is closed
      </label>
      <DialogActions>
        <Button type="submit" look="primary" icon="lock">
          Sign in
        </Button>
      </DialogActions>
    </form>
  );
}
