// What the lists of thresholds and of silences have above them: the way to each other, a search, and a new one.

import type { ReactNode } from "react";

import { Link } from "../../components/Link.tsx";
import { useQuery } from "../../router.ts";
import { t } from "../../text/index.ts";

interface Props {
  here: "thresholds" | "silences";
  count: number | null;
  search: string;
  placeholder: string;
  action: ReactNode;
  children: ReactNode;
}

export function RulesToolbar({ here, count, search, placeholder, action, children }: Props) {
  const [, change] = useQuery();
  return (
    <div className="toolbar">
      <div className="tabs">
        {(["thresholds", "silences"] as const).map((name) => (
          <Link key={name} href={`/${name}`} aria-current={name === here ? "page" : undefined}>
            {t(`nav.${name}`)} {name === here && count !== null && <span className="count">{count}</span>}
          </Link>
        ))}
      </div>
      <input type="search" value={search} onChange={(event) => change({ q: event.target.value }, "replace")} placeholder={placeholder} aria-label={placeholder} />
      {children}
      {action}
    </div>
  );
}
