// A field that knows what one may want to type (ARIA 1.2, editable combobox with a list).

import { useEffect, useRef, useState, type KeyboardEvent } from "react";

import { t } from "../text/index.ts";
import type { Ties } from "./Field.tsx";

export interface Option {
  value: string;
  text: string;
  note?: string | undefined;
}

interface Props {
  ties: Ties;
  /** What stands in the field while nobody types. */
  text: string;
  optionsOf: (typed: string) => readonly Option[];
  onPick: (option: Option) => void;
  /** Where any text is good; without it what is typed only searches. */
  onType?: (text: string) => void;
  /** Where nothing is an answer, too: the field was emptied. */
  onClear?: () => void;
  placeholder?: string;
  label?: string;
}

/** Options of a list; who wants others types more. */
export const OPTIONS_MAX = 50;

export function Combobox({ ties, text, optionsOf, onPick, onType, onClear, placeholder, label }: Props) {
  const [typed, setTyped] = useState<string | null>(null);
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const list = useRef<HTMLUListElement>(null);
  const options = isOpen ? optionsOf(typed ?? "").slice(0, OPTIONS_MAX) : [];
  const optionId = (index: number) => `${ties.id}-${index}`;
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const open = () => {
    setOpen(true);
    setActive(-1);
  };
  const close = () => {
    setOpen(false);
    setTyped(null);
  };
  const pick = (option: Option) => {
    onPick(option);
    close();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return open();
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((before) => Math.min(options.length - 1, Math.max(-1, before + step)));
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && isOpen) {
      const chosen = options[active] ?? (options.length === 1 && !onType ? options[0] : undefined);
      // a name that is only searched for must not send the form
      if (chosen || !onType) event.preventDefault();
      if (chosen) pick(chosen);
    }
  };
  return (
    <div className="combobox">
      <input
        {...ties}
        role="combobox"
        aria-label={label}
        aria-expanded={options.length > 0}
        aria-controls={`${ties.id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={options[active] ? optionId(active) : undefined}
        autoComplete="off"
        spellCheck={false}
        value={typed ?? text}
        placeholder={placeholder}
        onFocus={open}
        onClick={() => !isOpen && open()}
        onBlur={close}
        onKeyDown={press}
        onChange={(event) => {
          if (!isOpen) open();
          setTyped(event.target.value);
          setActive(-1);
          onType?.(event.target.value);
          if (!event.target.value) onClear?.();
        }}
      />
      <ul id={`${ties.id}-list`} role="listbox" aria-label={t("field.options")} ref={list} hidden={options.length === 0}>
        {options.map((option, index) => (
          <li
            key={option.value}
            id={optionId(index)}
            role="option"
            aria-selected={index === active}
            // before the field loses the focus
            onPointerDown={(event) => {
              event.preventDefault();
              pick(option);
            }}
          >
            <span>{option.text}</span>
            {option.note && <small>{option.note}</small>}
          </li>
        ))}
      </ul>
    </div>
  );
}
