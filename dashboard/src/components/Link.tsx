// A link within the page: a real one for the keyboard and for new tabs, without loading the page anew.

import type { AnchorHTMLAttributes, MouseEvent } from "react";

import { navigate } from "../router.ts";

export function Link({ href, ...others }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
    document.getElementById("main")?.scrollTo(0, 0);
  };
  return <a href={href} onClick={follow} {...others} />;
}
