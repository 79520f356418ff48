/**
 * The errors of the package: one class with a stable `name`, and its form on the port between page and worker.
 *
 * `name` says what the caller can do about it, `message` says how, `cause` keeps what was underneath.
 */
import type { ShoalErrorName } from './types.ts'

/**
 * Every error that Shoal itself raises. Tell them apart by `name`.
 * @example
 * const told = (error: unknown) => error instanceof ShoalError && error.name === 'StorageFull' ? 'Free some space first.' : String(error)
 */
export class ShoalError extends Error {
  override readonly name: ShoalErrorName

  /** @param message what went wrong and what to do, in one or two sentences */
  constructor(name: ShoalErrorName, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = name
  }
}

/** @internal An error as it travels through a port: structured clone would lose the name. */
export interface WireError {
  name: string
  message: string
  cause?: WireError
}

/** @internal Whatever was thrown, as plain data. */
export function toWire(thrown: unknown, depth = 0): WireError {
  if (!(thrown instanceof Error)) return { name: 'Error', message: String(thrown) }
  const wire: WireError = { name: thrown.name, message: thrown.message }
  if (thrown.cause !== undefined && depth < MAX_CAUSES) wire.cause = toWire(thrown.cause, depth + 1)
  return wire
}

/** @internal The error that the other side meant. A name we do not promise becomes the cause of an `Internal`. */
export function fromWire(wire: WireError): ShoalError {
  if (isShoalErrorName(wire.name)) {
    return new ShoalError(wire.name, wire.message, wire.cause && { cause: plainError(wire.cause) })
  }
  return new ShoalError('Internal', `Something failed inside the node (${wire.message}). Try again; if it stays, please report it.`, {
    cause: plainError(wire),
  })
}

function plainError(wire: WireError): Error {
  const error = new Error(wire.message, wire.cause && { cause: plainError(wire.cause) })
  error.name = wire.name
  return error
}

function isShoalErrorName(name: string): name is ShoalErrorName {
  return Object.hasOwn(NAMES, name)
}

/** Written as a record so that the compiler complains when a name is added to the type and not here. */
const NAMES: Record<ShoalErrorName, true> = {
  InvalidConfig: true,
  InvalidCid: true,
  InvalidPeer: true,
  InvalidLink: true,
  InvalidRange: true,
  InvalidSource: true,
  Unsupported: true,
  NotFound: true,
  PeerUnreachable: true,
  RelayLimit: true,
  Declined: true,
  StorageFull: true,
  StorageFailed: true,
  TooLarge: true,
  Stopped: true,
  Internal: true,
  AbortError: true,
}

/** A chain of causes longer than this is noise, and could be a cycle. */
const MAX_CAUSES = 4
