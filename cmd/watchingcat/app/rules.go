package app

import (
	"context"
	"errors"
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/notify"
	"github.com/gaurav/watchingcat/storage"
)

// loadRules puts the rules of files, of users and of SLOs into force. On an error those loaded before stay.
func (a *App) loadRules(ctx context.Context) error {
	files, err := rules.LoadFiles(a.cfg.RuleFiles, a.slog)
	if err != nil {
		return config.Usage("%sRULE_FILES: %v", config.EnvPrefix, err)
	}
	a.ruleFiles.Store(&files)
	return a.putRules(ctx)
}

// putRules loads what was read of files with what users made since.
func (a *App) putRules(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	off, err := a.rules.SwitchedOff()
	if err != nil {
		return err
	}
	var sources []rules.Source
	for _, s := range *a.ruleFiles.Load() {
		s.Disabled = off
		sources = append(sources, s)
	}
	made, err := a.rules.Sources()
	if err != nil {
		return err
	}
	slos, err := books.SLOs(a.db)
	if err != nil {
		return err
	}
	before := a.eval.Rules()
	err = a.eval.Load(ctx, append(append(sources, made...), books.SLOSource(slos)), time.Now())
	if err != nil && len(made)+len(slos) > 0 && len(before) == 0 {
		// At the start there is nothing to fall back on: what users made must not keep the rules of files from being evaluated.
		a.log.Error().Err(err).Msg("rules from the configuration topic conflict with the rule files; only the rule files are loaded")
		err = a.eval.Load(ctx, sources, time.Now())
	}
	if err != nil || len(before) == 0 {
		return err
	}
	for _, d := range backtest.DiffRules(before, a.eval.Rules()) {
		a.log.Info().Str("change", d.Change).Str("rule", d.Name).Str("source", d.Source).Str("group", d.Group).Strs("what", d.What).
			Msg("rule loaded")
	}
	return nil
}

// objectsChanged follows what users made, here or at another replica.
func (a *App) objectsChanged(kinds map[string]bool) {
	if a.auth != nil && (kinds[storage.KindUser] || kinds[storage.KindToken] || kinds[storage.KindEnded]) {
		a.auth.Changed()
	}
	if a.eval == nil || !kinds[storage.KindRuleGroup] && !kinds[storage.KindRuleSwitch] && !kinds[storage.KindSLO] {
		return
	}
	if err := a.putRules(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
		a.log.Error().Err(err).Msg("loading rules from the configuration topic failed; the previous rules stay active")
	}
}

// Forward is where alerts are sent.
func Forward(c *config.Config) (*notify.Forward, error) {
	f, err := notify.LoadForward(c.AlertmanagerURLs, c.AlertmanagerSend)
	if err != nil {
		return nil, config.Usage("%sALERTMANAGER_URLS, %sALERTMANAGER_SEND_CONFIG: %v", config.EnvPrefix, config.EnvPrefix, err)
	}
	if f != nil {
		if f.Transport, err = c.Transport(); err != nil {
			return nil, err
		}
	}
	return f, nil
}
