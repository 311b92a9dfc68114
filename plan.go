package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/server"
)

// plan is all that the settings say, read before anything is opened or made.
type plan struct {
	edge   server.Config
	core   auth.Config
	weChat *weChat // nil where its settings are wrong
}

// plan reads the settings. Its error is wrongs, one for each setting that is wrong;
// what is right is in the plan all the same.
func (s *settings) plan(log *slog.Logger) (p plan, err error) {
	var wrong wrongs
	p.edge, err = s.edge(log)
	wrong.add("", err)
	p.core, err = s.core()
	wrong.add("", err)
	p.weChat, err = s.weChat()
	wrong.add("", err)
	wrong.add("", s.checkSandbox())
	return p, wrong.err()
}

// core is what the settings say of the core: what is opened, and WeChat, is missing.
func (s *settings) core() (auth.Config, error) {
	var wrong wrongs
	var err error
	config := auth.Config{
		// The address may change with every start; who signed the tokens does not.
		Issuer: "miniprofile", OldPictureLife: s.OldPictures, ReadOnly: s.ReadOnly,
		RequireConsent: s.RequireConsent, CheckContent: s.ContentCheck == "wechat", AcceptDoubtful: s.ContentDoubt == "accept",
		PictureTimeout: s.ContentTimeout, DeletionDelay: s.DeletionDelay, DeletedAuditLife: s.DeletedAudit,
	}
	if s.PublicURL != "" {
		config.PublicURL, err = parsePublicURL(s.PublicURL)
		config.Issuer = config.PublicURL
		wrong.add("MINIPROFILE_PUBLIC_URL", err)
	}
	if s.AvatarURL != "" {
		config.AvatarURL, err = parsePublicURL(s.AvatarURL)
		wrong.add("MINIPROFILE_AVATAR_URL", err)
	}
	for setting, d := range map[string]time.Duration{
		"MINIPROFILE_OLD_PICTURES": s.OldPictures, "MINIPROFILE_CONTENT_TIMEOUT": s.ContentTimeout,
		"MINIPROFILE_DELETION_DELAY": s.DeletionDelay, "MINIPROFILE_DELETED_AUDIT": s.DeletedAudit,
	} {
		if d < 0 {
			wrong.add(setting, fmt.Errorf("%v is less than nothing", d))
		}
	}
	if s.DeletedAudit > auth.AuditLife {
		wrong.add("MINIPROFILE_DELETED_AUDIT", fmt.Errorf("longer than the audit of the living is kept, which is %v", auth.AuditLife))
	}
	wrong.add("MINIPROFILE_SECRET", s.checkSecrets())
	wrong.add("", s.checkPlaces())
	return config, wrong.err()
}

// publicURL is where clients reach the server: what is set, or where it listens.
func (p *plan) publicURL(at net.Addr) string {
	switch {
	case p.core.PublicURL != "":
		return p.core.PublicURL
	case p.edge.Certificate != nil:
		return "https://" + reachable(at)
	}
	return "http://" + reachable(at)
}

// checkSecrets refuses secrets that are too short, and none where the store makes none.
func (s *settings) checkSecrets() error {
	if at := scheme(s.Store); len(s.Secret) == 0 && at != "file" && at != "memory" && checkURL(s.Store, stores) == nil {
		return errors.New("is needed: 32 random characters or more, the same for all replicas; only a file: store makes its own. openssl rand -base64 32 gives one")
	}
	return checkLength(s.Secret)
}

// checkLength refuses secrets that are too short, or none.
func checkLength(secrets []string) error {
	for i, secret := range secrets {
		if len(secret) < auth.MinSecret {
			return fmt.Errorf("number %d has %d characters, want %d or more: make one with openssl rand -base64 32", i+1, len(secret), auth.MinSecret)
		}
	}
	return nil
}
