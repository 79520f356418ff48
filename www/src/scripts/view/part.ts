/** Finding and cloning what the Astro components drew. A name that is not there is a mistake in this site, so it throws. */

/** The element with this id. */
export function byId<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const found = document.getElementById(id)
  if (!found) throw new Error(`The page has no element #${id}`)
  return found as Type
}

/** A fresh copy of the only element inside the template with this id. */
export function clone(templateId: string): HTMLElement {
  const content = byId<HTMLTemplateElement>(templateId).content.firstElementChild
  if (!(content instanceof HTMLElement)) throw new Error(`The template #${templateId} is empty`)
  return document.importNode(content, true)
}

/** The element marked `data-part="name"` inside a cloned card. */
export function part<Type extends HTMLElement = HTMLElement>(card: HTMLElement, name: string): Type {
  const found = card.querySelector(`[data-part="${name}"]`)
  if (!found) throw new Error(`The card has no part "${name}"`)
  return found as Type
}

/** Writes text only where it differs, so that screen readers and the layout are left alone. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** An HTML element with attributes and children; text children are never parsed as HTML. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** An SVG element with attributes and children. */
export function svg(tag: string, attributes: Record<string, string | number> = {}, ...children: Node[]): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.append(...children)
  return made
}
