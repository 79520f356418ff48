/** Progress at a rate that a person can see and a message port does not feel. */

/** 20 times a second. */
const INTERVAL = 50

/**
 * Passes values on at most every 50 ms. What came last is passed on in the end, by the clock or by `flush`.
 * @param urgent whether a value must not wait (a change of phase)
 */
export function throttle<Value>(send: (value: Value) => void, urgent: (previous: Value, value: Value) => boolean = () => false) {
  let last: Value | undefined
  let sentAt = -INTERVAL
  let held: Value | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  function pass(value: Value): void {
    clearTimeout(timer)
    timer = held = undefined
    last = value
    sentAt = performance.now()
    send(value)
  }

  return {
    push(value: Value): void {
      const wait = sentAt + INTERVAL - performance.now()
      if (wait <= 0 || (last !== undefined && urgent(last, value))) return pass(value)
      held = value
      timer ??= setTimeout(() => held !== undefined && pass(held), wait)
    },
    /** Passes on what is held back, so that the last word comes before the result. */
    flush(): void {
      if (held !== undefined) pass(held)
    },
    /** Nobody listens any more. */
    stop(): void {
      clearTimeout(timer)
      held = undefined
    },
  }
}
