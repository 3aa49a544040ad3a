package cli

import (
	"context"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// underSystemd reports to systemd, if the process is a service of Type=notify: that it answers, that it still does (WatchdogSec), and that it
// ends. base is the URL of the API. It returns when ctx ends.
func underSystemd(ctx context.Context, base string, log zerolog.Logger) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn().Err(err).Msg("the watchdog's settings in the environment cannot be read: systemd's watchdog is off")
	}
	client := ownClient()
	alive := func(ctx context.Context) error { return probe(ctx, client, base+"/livez") }
	send := func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	report(ctx, every, alive, send, log)
}

// reportEvery is how often a service without a watchdog is looked at until it answers.
const reportEvery = time.Second

// report sends READY when alive succeeds for the first time, and WATCHDOG after each further success, twice within every.
func report(ctx context.Context, every time.Duration, alive func(context.Context) error, send func(string) error, log zerolog.Logger) {
	wait := reportEvery
	if every > 0 {
		wait = every / 2
	}
	state := daemon.SdNotifyReady
	failing := false
	for {
		asked, cancel := context.WithTimeout(ctx, wait)
		err := alive(asked)
		cancel()
		if err == nil {
			err = send(state)
			state = daemon.SdNotifyWatchdog
		}
		if failed := err != nil && ctx.Err() == nil && state == daemon.SdNotifyWatchdog; failed != failing {
			if failing = failed; failed {
				log.Warn().Err(err).Msg("the process does not answer itself: systemd restarts it if this continues for WatchdogSec")
			}
		}
		if state == daemon.SdNotifyWatchdog && every == 0 {
			<-ctx.Done()
		}
		select {
		case <-ctx.Done():
			if err := send(daemon.SdNotifyStopping); err != nil {
				log.Warn().Err(err).Msg("systemd was not notified of the end")
			}
			return
		case <-time.After(wait):
		}
	}
}
