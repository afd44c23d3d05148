// A field of a form: its name, what is typed, what that means, and what is wrong with it.

import { useId, type ReactNode } from "react";

export interface FieldProps {
  title: string;
  hint?: string | null | undefined;
  problem?: string | null | undefined;
  className?: string;
}

/** What ties a control to its name and its explanations. */
export interface Ties {
  id: string;
  "aria-describedby": string;
  "aria-invalid": boolean;
}

export function Field({ title, hint, problem, className = "", children }: FieldProps & { children: (ties: Ties) => ReactNode }) {
  const id = useId();
  return (
    <div className={`entry ${problem ? "wrong" : ""} ${className}`}>
      <label htmlFor={id}>{title}</label>
      {children({ id, "aria-describedby": `${id}-said`, "aria-invalid": Boolean(problem) })}
      <div id={`${id}-said`} className="said">
        {problem && <p className="problem">{problem}</p>}
        {hint && <small>{hint}</small>}
      </div>
    </div>
  );
}

interface TextProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  maxLength?: number;
  disabled?: boolean;
  type?: "text" | "datetime-local" | "time";
}

export function TextField({ value, onChange, placeholder, maxLength, disabled, type = "text", ...field }: TextProps) {
  return (
    <Field {...field}>
      {(ties) => (
        <input {...ties} type={type} value={value} placeholder={placeholder} maxLength={maxLength} disabled={disabled} autoComplete="off" onChange={(event) => onChange(event.target.value)} />
      )}
    </Field>
  );
}

interface ChoicesProps<T extends string> {
  title: string;
  value: T;
  options: readonly (readonly [value: T, text: string])[];
  onChange: (value: T) => void;
  hint?: string | null;
}

/** One of a few, all of them in sight. */
export function Choices<T extends string>({ title, value, options, onChange, hint }: ChoicesProps<T>) {
  const name = useId();
  return (
    <fieldset className="entry choices">
      <legend>{title}</legend>
      <div className="segments">
        {options.map(([option, text]) => (
          <label key={option} className={option}>
            <input type="radio" name={name} checked={option === value} onChange={() => onChange(option)} />
            <span>{text}</span>
          </label>
        ))}
      </div>
      {hint && <small className="said">{hint}</small>}
    </fieldset>
  );
}
