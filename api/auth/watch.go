package auth

import "time"

// watcher is a caller whose connection stays open longer than a request.
type watcher struct {
	Principal
	ended chan struct{}
	timer *time.Timer // ends it when the credential expires; nil: it does not
}

// Watch returns a channel that is closed when the credential of p ends: it expires, or its token or user is changed or gone. stop must
// be called.
func (a *Auth) Watch(p Principal) (ended <-chan struct{}, stop func()) {
	w := &watcher{Principal: p, ended: make(chan struct{})}
	a.watching.Lock()
	defer a.watching.Unlock()
	a.watchers[w] = struct{}{}
	if !p.expires.IsZero() {
		w.timer = time.AfterFunc(p.expires.Sub(a.cfg.Now()), func() {
			a.watching.Lock()
			defer a.watching.Unlock()
			a.end(w)
		})
	}
	if !a.stands(p) { // it may have ended since it was verified
		a.end(w)
	}
	return w.ended, func() {
		a.watching.Lock()
		defer a.watching.Unlock()
		a.forget(w)
	}
}

// Changed looks again at everybody who is watched. It is to be called after users or tokens have changed, here or at another replica.
func (a *Auth) Changed() {
	a.watching.Lock()
	defer a.watching.Unlock()
	for w := range a.watchers {
		if !a.stands(w.Principal) {
			a.end(w)
		}
	}
}

func (a *Auth) end(w *watcher) {
	if _, ok := a.watchers[w]; ok {
		close(w.ended)
		a.forget(w)
	}
}

func (a *Auth) forget(w *watcher) {
	delete(a.watchers, w)
	if w.timer != nil {
		w.timer.Stop()
	}
}

// stands reports whether what p was verified by still holds. What cannot be decided does not.
func (a *Auth) stands(p Principal) bool {
	if !p.expires.IsZero() && !a.cfg.Now().Before(p.expires) {
		return false
	}
	switch {
	case a.isEnded(p.session):
		return false
	case p.token != "":
		_, err := a.token(p.token)
		return err == nil
	case p.User != "":
		u, err := a.User(p.User)
		return err == nil && u.version() == p.version
	}
	return true
}
