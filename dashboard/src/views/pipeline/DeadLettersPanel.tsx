// What could not be stored, and why: the newest dead letters, each to be opened. Whoever wrote them: all of it is text.

import { useEffect, useId, useRef, useState } from "react";

import { api, type DeadLetter, type Pipeline } from "../../api/client.ts";
import { CopyLine } from "../../components/CopyLine.tsx";
import { Panel } from "../../components/Panel.tsx";
import { bytes } from "../../format/numbers.ts";
import { dateAndTime } from "../../format/times.ts";
import { usePages } from "../../state/pages.ts";
import { t } from "../../text/index.ts";
import { origin, readingLine } from "./letters.ts";

const PAGE = 50;

export function DeadLettersPanel({ pipeline }: { pipeline: Pipeline }) {
  const pages = usePages<DeadLetter>("dead letters", (cursor, signal) => api.deadLetters({ limit: PAGE, cursor }, signal));
  const topics = pipeline.dead_letters;
  const { reload } = pages;
  const news = JSON.stringify(topics.map(({ topic, records, newest_letter }) => [topic, records, newest_letter]));
  const read = useRef(news);
  useEffect(() => {
    if (read.current === news) return;
    read.current = news;
    reload();
  }, [news, reload]);

  const items = pages.data ?? [];
  const records = topics.reduce((sum, topic) => sum + topic.records, 0);
  const empty = records > 0 ? t("letters.untold", { n: records.toLocaleString() }) : t(topics.length > 0 ? "letters.none" : "letters.unknown");
  return (
    <Panel
      title={t("letters.title")}
      aside={items.length > 0 && records > items.length && <span className="muted">{t("letters.newest", { n: records.toLocaleString() })}</span>}
      resource={pages}
      isEmpty={items.length === 0}
      empty={empty}
    >
      <ol className="letters">
        {items.map((letter) => (
          <Letter key={letter.id} letter={letter} />
        ))}
      </ol>
      {(pages.hasMore || pages.moreError) && (
        <p className="filtered" role="status">
          {pages.moreError && <span className="bad">{t("panel.error", { reason: pages.moreError })}</span>}{" "}
          <button onClick={pages.more} disabled={pages.isReadingMore}>
            {t(pages.isReadingMore ? "panel.loading" : "letters.more")}
          </button>
        </p>
      )}
    </Panel>
  );
}

function Letter({ letter }: { letter: DeadLetter }) {
  const [isOpen, setOpen] = useState(false);
  const body = useId();
  const { payload_bytes: size } = letter;
  return (
    <li>
      <button type="button" className="line" aria-expanded={isOpen} aria-controls={isOpen ? body : undefined} onClick={() => setOpen(!isOpen)}>
        <time dateTime={letter.written_at}>{dateAndTime(letter.written_at)}</time>
        <span className="reason">{letter.reason || t("letters.noReason")}</span>
        <span className="origin">{origin(letter)}</span>
        <span className="size">{size === null || size === undefined ? t("letters.noPayload") : bytes(size)}</span>
      </button>
      {isOpen && <Body id={body} letter={letter} />}
    </li>
  );
}

function Body({ id, letter }: { id: string; letter: DeadLetter }) {
  const { topic, partition, offset } = letter;
  const place = t("letters.whole.place", { topic, partition, offset });
  return (
    <div className="letter" id={id}>
      <dl className="told">
        <div>
          <dt>{t("letters.reason")}</dt>
          <dd className="text">{letter.reason || t("letters.noReason")}</dd>
        </div>
        <div>
          <dt>{t("letters.sentAt")}</dt>
          <dd>{dateAndTime(letter.origin.at)}</dd>
        </div>
        <div>
          <dt>{t("letters.key")}</dt>
          <dd className="text">{letter.key ?? "–"}</dd>
        </div>
      </dl>
      <h3>{t("letters.start")}</h3>
      {/* may be longer than its box: the keyboard scrolls it */}
      <pre tabIndex={0} role="region" aria-label={t("letters.start")}>
        {letter.payload_start || t("letters.noPayload")}
      </pre>
      <h3>{t("letters.whole")}</h3>
      <p>{place}</p>
      <CopyLine text={readingLine(letter)} label={place} />
    </div>
  );
}
