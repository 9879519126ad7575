import { createContext, useContext } from 'react';
import type { JsonSchema } from './shape.ts';

interface FormContextValue {
  /** Begins the ids of the controls. */
  id: string;
  root: JsonSchema;
  /** What is wrong with a field that the person has left or sent. */
  problemAt: (path: string) => string | undefined;
}

export const FormContext = createContext<FormContextValue | undefined>(undefined);

export function useForm(): FormContextValue {
  const form = useContext(FormContext);
  if (!form) throw new Error('There is no form around this field.');
  return form;
}

/** What each field of a form gets. */
export interface FieldProps {
  schema: JsonSchema;
  /** Its place in the value, as a JSON pointer. */
  path: string;
  label: string;
  isRequired: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
}
