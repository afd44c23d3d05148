// A line that somebody takes elsewhere.

import { useRef, useState } from "react";

import { t } from "../text/index.ts";

export function CopyLine({ text, label }: { text: string; label: string }) {
  const line = useRef<HTMLElement>(null);
  const [copied, setCopied] = useState<string | null>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(text);
    } catch {
      // browsers have no clipboard for pages over plain HTTP: what is selected the keyboard copies
      if (line.current) getSelection()?.selectAllChildren(line.current);
    }
  };
  return (
    <div className="copy-line">
      <code ref={line}>{text}</code>
      <button type="button" onClick={() => void copy()} aria-label={`${t("copy")}: ${label}`}>
        {t(copied === text ? "copy.done" : "copy")}
      </button>
      <span className="visually-hidden" role="status">
        {copied === text && t("copy.done")}
      </span>
    </div>
  );
}
