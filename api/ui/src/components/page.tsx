import type { ReactNode } from 'react'

interface Props {
  title: ReactNode
  /** What the page shows, in one sentence. */
  sentence?: ReactNode
  /** What stands beside the title: a state. */
  beside?: ReactNode
  /** Where it is, above the title. */
  crumb?: ReactNode
  /** Buttons at the right. */
  actions?: ReactNode
}

/** The head of every page. */
export function PageHeader({ title, sentence, beside, crumb, actions }: Props) {
  return (
    <header className="page-head">
      <div>
        {crumb && <p className="crumb">{crumb}</p>}
        <div className="page-title">
          <h1>{title}</h1>
          {beside}
        </div>
        {sentence && <p className="dim">{sentence}</p>}
      </div>
      {actions && <div className="page-actions">{actions}</div>}
    </header>
  )
}
