const esc = '\\u001b'
/** CSI (colours, cursor), OSC (titles, links), strings of a device, and escapes of one character. */
const escapes = new RegExp(
  [
    `(?:${esc}\\[|\\u009b)[0-?]*[ -/]*[@-~]`,
    `${esc}\\][^\\u0007\\u001b]*(?:\\u0007|${esc}\\\\)`,
    `${esc}[PX^_][^\\u001b]*${esc}\\\\`,
    `${esc}[ -/]*[0-~]`,
  ].join('|'),
  'g',
)

/** A text without the codes that a terminal would take as colours and movements. */
export const withoutEscapes = (text: string): string => text.replace(escapes, '')
