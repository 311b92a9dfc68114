package minio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// findCredentials returns those of the first provider that has some, and stays
// with that provider. minio-go's own chain would, when a role cannot be renewed,
// go on without any credentials.
func findCredentials(ctx context.Context, t http.RoundTripper) (*credentials.Credentials, error) {
	own, err := ownVariables()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: t, Timeout: 2 * time.Second} // where there is no metadata service nothing answers
	for _, p := range []credentials.Provider{
		&credentials.Static{Value: own},
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: client},
	} {
		c := credentials.New(p)
		v, err := c.GetWithContext(&credentials.CredContext{Context: ctx, Client: client})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
			return c, nil
		}
	}
	return nil, errors.New("no credentials: set MINIO_ACCESS_KEY and MINIO_SECRET_KEY (or the same with _FILE), " +
		"or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or make ~/.aws/credentials, or give this machine a role")
}

func ownVariables() (credentials.Value, error) {
	access, err := variable("MINIO_ACCESS_KEY")
	if err != nil {
		return credentials.Value{}, err
	}
	secret, err := variable("MINIO_SECRET_KEY")
	if err != nil {
		return credentials.Value{}, err
	}
	if (access == "") != (secret == "") {
		return credentials.Value{}, errors.New("only one of MINIO_ACCESS_KEY and MINIO_SECRET_KEY is set")
	}
	return credentials.Value{AccessKeyID: access, SecretAccessKey: secret, SignerType: credentials.SignatureV4}, nil
}

// variable returns what name holds, or else the file that name_FILE names.
func variable(name string) (string, error) {
	value, path := os.Getenv(name), os.Getenv(name+"_FILE")
	switch {
	case path == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("%s and %s_FILE are both set", name, name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}
