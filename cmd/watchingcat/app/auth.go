package app

import (
	"context"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// openAuth decides who may; without authentication it stays nil.
func (a *App) openAuth(ctx context.Context) (err error) {
	if !a.cfg.AuthOn() {
		return nil
	}
	c := auth.Config{Accounts: &auth.Accounts{KV: a.db, Objects: a.objects, Read: a.objectsRead.Load}, JWKSURL: a.cfg.AuthJWKSURL,
		JWKSIssuer: a.cfg.AuthJWKSIssuer, JWKSAudience: a.cfg.AuthJWKSAudience, Duration: a.cfg.AuthTokenLife, Logger: a.log,
		Secure: a.cfg.TLSCert != "" || strings.HasPrefix(a.cfg.ExternalURL, "https:")}
	if a.cfg.AuthJWTSecret != "" {
		c.Secret = []byte(a.cfg.AuthJWTSecret)
	}
	if c.OIDC, err = a.cfg.OIDC(); err != nil {
		return err
	}
	if c.Transport, err = a.cfg.Transport(); err != nil {
		return err
	}
	ctx, a.endAuth = context.WithCancel(context.WithoutCancel(ctx))
	a.auth, err = auth.New(ctx, c)
	return err
}

// readObjects waits until what users made is read, and says how to make the first admin where it is known that there is none.
func (a *App) readObjects(ctx context.Context) error {
	for {
		err := a.objects.Sync(ctx)
		if err == nil {
			break
		}
		a.objectsErr.Store(&err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	a.objectsRead.Store(true)
	if a.auth != nil {
		if has, err := a.auth.HasAdmin(); err == nil && !has {
			if err := a.noAdmin(ctx); err != nil {
				return err
			}
		}
	}
	if a.slosRead != nil {
		if err := a.slosRead(ctx, a.slos); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// OnSLOsRead has fn called once, when the SLOs that users made have been read and can be changed.
func (a *App) OnSLOsRead(fn func(context.Context, *books.SLOBook) error) { a.slosRead = fn }

// sayHowToBegin is what to do where authentication is on and there is no user yet.
func (a *App) sayHowToBegin(context.Context) error {
	a.log.Warn().Msg("authentication is on and there is no admin yet: run `watchingcat user add --role admin NAME` with the same settings and give the password on its standard input")
	return nil
}

// OnNoAdmin has fn called, in place of a warning, where authentication is on, users have been read and none is an admin.
func (a *App) OnNoAdmin(fn func(context.Context, *auth.Auth) error) {
	a.noAdmin = func(ctx context.Context) error { return fn(ctx, a.auth) }
}
