// Asks for the API token once; the browser keeps a cookie.

import { useState, type FormEvent } from "react";

import { api } from "../api/client.ts";
import { t } from "../text/index.ts";

export function SignIn({ onDone }: { onDone: () => void }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await api.signIn(token);
      onDone();
    } catch (error) {
      setError(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form className="sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{t("signIn.title")}</h1>
      <label>
        {t("signIn.token")}
        <input type="password" autoComplete="current-password" required value={token} onChange={(event) => setToken(event.target.value)} />
      </label>
      <p className="muted">{t("signIn.hint")}</p>
      {error && <p role="alert">{error}</p>}
      <button className="primary">{t("signIn.title")}</button>
    </form>
  );
}
