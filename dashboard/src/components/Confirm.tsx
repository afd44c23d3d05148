// Asks before something that cannot be taken back.

import { useEffect, useRef } from "react";

import { t } from "../text/index.ts";

interface Props {
  question: string;
  detail?: string | null;
  action: string;
  onConfirm: () => void;
  onCancel: () => void;
}

export function Confirm({ question, detail, action, onConfirm, onCancel }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="confirm" aria-label={question} onCancel={onCancel}>
      <p>{question}</p>
      {detail && <p className="muted">{detail}</p>}
      <div className="buttons">
        <button type="button" onClick={onCancel} autoFocus>
          {t("confirm.cancel")}
        </button>
        <button type="button" className="danger" onClick={onConfirm}>
          {action}
        </button>
      </div>
    </dialog>
  );
}
