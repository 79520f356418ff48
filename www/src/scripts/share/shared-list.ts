/** What this browser shares, remembered across reloads. Only the list: the contents are in the node's store. */

/** One shared item. */
export interface Shared {
  cid: string
  name: string
  /** Bytes. */
  size: number
  /** Words for its type. */
  words: string
  icon: string
  /** Whether it is a picture that can be drawn small. */
  picture: boolean
  /** Milliseconds since the Unix epoch. */
  time: number
}

const key = 'shoal.shared'

/** The longest list that is kept: more would make the page slow, and nobody scrolls that far. */
const most = 100

/** @returns the list, newest first; empty where the browser keeps nothing. */
export function sharedList(): Shared[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(key) ?? '[]')
    return Array.isArray(list) ? list.filter(isShared).slice(0, most) : []
  } catch {
    return []
  }
}

/** Puts an item at the front; the same content is listed once. */
export function remember(item: Shared): void {
  const list = [item, ...sharedList().filter((other) => other.cid !== item.cid)].slice(0, most)
  try {
    localStorage.setItem(key, JSON.stringify(list))
  } catch {
    // Private mode or a full quota: the list then lasts as long as the page, as the node's own status says.
  }
}

function isShared(value: unknown): value is Shared {
  const item = value as Partial<Shared> | null
  return typeof item === 'object' && item !== null && typeof item.cid === 'string' && typeof item.name === 'string' && typeof item.size === 'number'
    && typeof item.words === 'string' && typeof item.icon === 'string' && typeof item.picture === 'boolean' && typeof item.time === 'number'
}
