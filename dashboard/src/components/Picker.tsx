// A field that finds one of many by a part of its name (the combobox pattern of WAI-ARIA): what is typed is looked up by the backend.

import { useEffect, useId, useRef, useState, type KeyboardEvent } from "react";

import { t } from "../text/index.ts";

export interface Option {
  value: string;
  text: string;
  note?: string | undefined;
}

interface Props {
  label: string;
  find: (text: string, signal: AbortSignal) => Promise<readonly Option[]>;
  onPick: (option: Option) => void;
}

/** People type a few letters at once. */
const PAUSE_MS = 200;

export function Picker({ label, find, onPick }: Props) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<{ text: string; options: readonly Option[]; error: string | null } | null>(null);
  const [active, setActive] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const latest = useRef(find);
  const id = useId();
  useEffect(() => {
    latest.current = find;
  });
  useEffect(() => {
    if (!isOpen) return;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      latest.current(text, controller.signal).then(
        (options) => {
          if (controller.signal.aborted) return;
          setFound({ text, options, error: null });
          setActive(0);
        },
        (error: unknown) => !controller.signal.aborted && setFound({ text, options: [], error: error instanceof Error ? error.message : String(error) }),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, isOpen]);

  const options = found?.options ?? [];
  const pick = (option: Option | undefined) => {
    if (!option) return;
    onPick(option);
    setText("");
    setOpen(false);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((before) => (before + step + options.length) % Math.max(1, options.length));
    } else if (event.key === "Enter" && isOpen) {
      event.preventDefault();
      // what is shown may be of fewer letters than are typed
      if (found?.text === text) pick(options[active]);
    } else if (event.key === "Escape" && isOpen) {
      event.stopPropagation();
      setOpen(false);
    }
  };
  const isShown = isOpen && found !== null;
  return (
    <div className="picker">
      <input
        role="combobox"
        aria-label={label}
        aria-expanded={isShown}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={isShown && options[active] ? `${id}-${active}` : undefined}
        placeholder={t("picker.find")}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={press}
      />
      <ul id={id} role="listbox" aria-label={label} hidden={!isShown}>
        {options.map((option, index) => (
          // before the field loses the keyboard, and the list with it
          <li key={option.value} id={`${id}-${index}`} role="option" aria-selected={index === active} onPointerDown={(event) => event.preventDefault()} onClick={() => pick(option)}>
            <span>{option.text}</span> {option.note && <small>{option.note}</small>}
          </li>
        ))}
      </ul>
      {isShown && options.length === 0 && <p role="status">{found.error ? t("panel.error", { reason: found.error }) : t("picker.none")}</p>}
    </div>
  );
}
