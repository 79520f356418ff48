// A certificate for `localhost` that nobody signed, and what makes browsers take it from one server. Whatever else they are shown, they check as ever.
import { X509Certificate, createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { capture } from '../crates/web/build/process.mjs'
import { createTemporary } from './temporary.mjs'

/** SHA-256, as Firefox writes it. */
const SHA_256 = 'OID.2.16.840.1.101.3.4.2.1'

/** Makes one that is good for two days. */
export async function createCertificate() {
  const directory = await createTemporary('certificate')
  const [path, key] = ['certificate.pem', 'key.pem'].map((name) => join(directory, name))
  await capture('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', path])
  const { publicKey, fingerprint256 } = new X509Certificate(await readFile(path))
  const digest = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64')
  return {
    /** The file, and that of its key. */
    path,
    key,
    /** With these arguments a relay shows it. */
    args: ['--tls-certificate', path, '--tls-key', key],
    /** With these options of `launch` a browser takes it: Chromium by its key, Firefox from this port alone. */
    trusted: (kind, port) =>
      kind === 'firefox'
        ? { files: { 'cert_override.txt': `localhost:${port}:\t${SHA_256}\t${fingerprint256}\t\n` } }
        : { args: [`--ignore-certificate-errors-spki-list=${digest}`] },
  }
}
