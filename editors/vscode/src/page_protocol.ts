// What the extension and the page inside the panel tell each other.

/** What the page is to show. */
export interface PageState {
  /** Questions with their answers as HTML. The first one was asked in the menu. */
  parts: { question: string | undefined; html: string }[];
  /** What stands below. */
  note: string;
  /** Whether the model still writes. */
  isWriting: boolean;
  /** Whether a person can ask further. */
  canAsk: boolean;
}

/** What the page says: that it is loaded, a person's question, or what they want done with the answer or with code in it. */
export type PageMessage = { ready: true } | { question: string } | { stop: true } | { copyAnswer: true } | { copy: string } | { insert: string };
