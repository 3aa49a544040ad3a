// Stack traces as they are written by Java, Go, Python, Node.js and .NET, line by line.

export interface StackLine {
  text: string
  /** A frame is a place in code; a cause begins another exception of a chain. */
  kind: 'frame' | 'cause' | 'text'
  /** A frame of the language's own libraries or of installed packages. */
  library: boolean
}

export interface StackGroup {
  /** Frames of libraries in a row are one group; all else is shown line by line. */
  folded: boolean
  lines: StackLine[]
}

const java =
  /^\s*at\s+(?:[\w.$@/-]+\/)?((?:[\w$]+\.)+[\w$<>]+)\((?:[^()\s]+\.\w+(?::\d+)?|[^()\s]+:\d+|Native Method|Unknown Source|<generated>)\)/
const javaLibrary = new RegExp(
  `^(?:${[
    'javax?',
    'jdk',
    'sun',
    'com\\.sun',
    'jakarta',
    'kotlinx?',
    'scala',
    'groovy',
    'org\\.(?:springframework|apache|hibernate|eclipse|jboss|junit|slf4j|codehaus|aspectj|postgresql)',
    'io\\.(?:netty|grpc|micrometer|opentelemetry|undertow|vertx|reactivex|quarkus|micronaut)',
    'reactor',
    'okhttp3',
    'com\\.(?:fasterxml|google\\.common|zaxxer|mysql)',
  ].join('|')})\\.`,
)
const dotnet = /^\s*at\s+(.+?\))(?:\s+in\s+(.+?):line\s+\d+)?\s*$/
const dotnetLibrary = /^(?:System|Microsoft|Grpc|Npgsql|Newtonsoft|OpenTelemetry|MassTransit|Polly)\./
const node =
  /^\s*at\s+(?:async\s+)?(?:(.+?)\s+\()?((?:file:\/\/|node:|webpack:|[A-Za-z]:\\|\/|internal\/|<anonymous>|native)[^()]*?)(?::\d+){0,2}\)?\s*$/
const nodeLibrary = /^(?:node:|internal\/|native|<anonymous>)|[\\/]node_modules[\\/]/
const python = /^\s*File "([^"]+)", line \d+(?:, in .*)?$/
const pythonLibrary = /[\\/](?:site-packages|dist-packages)[\\/]|[\\/]lib[\\/]python\d|^<frozen /
const goPlace = /^\t(\S.*?\.(?:go|s)):\d+(?: \+0x[0-9a-f]+)?$/
const goLibrary = /\/(?:go|Go)\/src\/|\/usr\/lib\/go[^/]*\/src\/|\/pkg\/mod\/|\/vendor\/|\/toolchain@[^/]*\/src\//
const cause = /^(?:Caused by: |\s*Suppressed: |\s*---> |The above exception was the direct cause|During handling of the above exception)/

/** The lines of a stack trace. Lines of a language that is not known are text, in their order. */
export function parseStack(stack: string): StackLine[] {
  const lines = stack.replace(/\r\n?/g, '\n').replace(/\n+$/, '').split('\n')
  const out: StackLine[] = []
  for (let i = 0; i < lines.length; i++) {
    const text = lines[i] as string
    const following = lines[i + 1] ?? ''
    const place = goPlace.exec(following)
    if (place !== null && text.trim() !== '' && !/^\s/.test(text) && !text.startsWith('goroutine ')) {
      // Go writes a frame on two lines: the function, then the place.
      const library = goLibrary.test(place[1] as string) || /^(?:panic|runtime\.)/.test(text)
      out.push({ text, kind: 'frame', library }, { text: following, kind: 'frame', library })
      i++
      continue
    }
    const file = python.exec(text)
    if (file !== null) {
      const library = pythonLibrary.test(file[1] as string)
      out.push({ text, kind: 'frame', library })
      const indent = text.length - text.trimStart().length
      // Python quotes the line of code below the place, and may underline a part of it.
      while (i + 1 < lines.length && indentOf(lines[i + 1] as string) > indent) {
        i++
        out.push({ text: lines[i] as string, kind: 'frame', library })
      }
      continue
    }
    out.push(lineOf(text))
  }
  return out
}

const indentOf = (s: string): number => (s.trim() === '' ? -1 : s.length - s.trimStart().length)

function lineOf(text: string): StackLine {
  if (cause.test(text)) return { text, kind: 'cause', library: false }
  const j = java.exec(text)
  // A frame of Node.js may look like one of Java: at Object.run (file.js:1:2) has a blank before the place.
  if (j !== null && !/\)\s+in\s/.test(text)) return { text, kind: 'frame', library: javaLibrary.test(j[1] as string) }
  const n = node.exec(text)
  if (n !== null) return { text, kind: 'frame', library: nodeLibrary.test(n[2] as string) }
  const d = dotnet.exec(text)
  if (d !== null) return { text, kind: 'frame', library: d[2] === undefined && dotnetLibrary.test(d[1] as string) }
  if (/^\s*\.\.\. \d+ (?:more|common frames omitted)/.test(text)) return { text, kind: 'frame', library: true }
  return { text, kind: 'text', library: false }
}

/** Puts frames of libraries that follow each other into groups. A stack that is all of libraries is not folded: it is all there is. */
export function groupStack(lines: readonly StackLine[]): StackGroup[] {
  const foldable = lines.some((l) => l.kind === 'frame' && !l.library)
  const out: StackGroup[] = []
  for (const line of lines) {
    const folded = foldable && line.library
    const last = out.at(-1)
    if (last !== undefined && last.folded === folded) last.lines.push(line)
    else out.push({ folded, lines: [line] })
  }
  // One frame takes no more room than what would stand for it.
  for (const g of out) if (g.folded && g.lines.length <= 1) g.folded = false
  return out
}
