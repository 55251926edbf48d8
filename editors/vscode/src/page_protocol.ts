// What the extension and the page inside the panel tell each other.

/** What the page is to show. */
export interface PageState {
  /** Questions with their answers as HTML. The first one was asked in the menu. */
  parts: { question: string | undefined; html: string }[];
  /** What stands below. */
  note: string;
  /** Whether a person can ask further. */
  canAsk: boolean;
}

/** What the page says: that it is loaded, or a person's question. */
export type PageMessage = { ready: true } | { question: string };
