// Saving a form: what goes wrong is told, and nothing that was typed is lost.

import { useState, type FormEvent } from "react";

import { Failure } from "../api/client.ts";
import { t, type Key } from "../text/index.ts";

/** The backend has another version than the one that was to be changed. */
export const isConflict = (error: unknown): boolean => error instanceof Failure && error.status === 412;

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A problem of the backend begins with the field's name: `for_seconds: 90000 is not within 0 and 86400`. */
export function fieldOf(detail: string): { field: string | null; text: string } {
  const [, field = null, text = detail] = /^([a-z_.]+): (.*)$/su.exec(detail) ?? [];
  return { field, text };
}

/** What is wrong in the fields, by their names in the API. */
export type Problems = Readonly<Record<string, Key>>;

/** What one need not have filled in before one tried to save. */
const UNTRIED: Key[] = ["problem.missing", "problem.scope"];

export interface Saving {
  state: "idle" | "saving" | "saved";
  /** What the backend did not take, where it belongs to no field of the form. */
  refused: string | null;
  /** What stands at the fields. */
  texts: Readonly<Record<string, string>>;
  /** Somebody types on. */
  touch: () => void;
  /** Saves the form if it is complete; else goes to its first wrong field. */
  submit: (event: FormEvent, work: (() => Promise<void>) | null) => void;
  /** Does something of which one wants to know whether it worked; `then` is what it is when it did. */
  attempt: (work: () => Promise<void>, then?: "saved" | "idle") => void;
}

interface Form {
  problems: Problems | null;
  /** Of the form. */
  fields: readonly string[];
  example?: string;
  /** Reads what somebody else made of it. */
  reload: () => void;
}

export function useSaving({ problems, fields, example = "", reload }: Form): Saving {
  const [state, setState] = useState<Saving["state"]>("idle");
  const [failure, setFailure] = useState<string | null>(null);
  const [hasTried, setTried] = useState(false);
  const told = failure === null ? null : fieldOf(failure);
  const isAtField = told?.field && fields.includes(told.field);
  const texts: Record<string, string> = isAtField ? { [told.field as string]: told.text } : {};
  for (const [field, problem] of Object.entries(problems ?? {})) if (hasTried || !UNTRIED.includes(problem)) texts[field] = t(problem, { example });

  const attempt = (work: () => Promise<void>, then: "saved" | "idle" = "saved") => {
    setState("saving");
    setFailure(null);
    work().then(
      () => setState(then),
      (error: unknown) => {
        setState("idle");
        if (isConflict(error)) reload();
        setFailure(isConflict(error) ? t("conflict.short") : error instanceof Failure && error.status === 0 ? t("form.unreachable", { reason: error.message }) : reasonOf(error));
      },
    );
  };
  return {
    state,
    refused: isAtField ? null : failure,
    texts,
    attempt,
    touch: () => {
      setFailure(null);
      setState("idle");
    },
    submit: (event, work) => {
      event.preventDefault();
      setTried(true);
      const form = event.currentTarget;
      if (work) attempt(work);
      else requestAnimationFrame(() => form.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
    },
  };
}
