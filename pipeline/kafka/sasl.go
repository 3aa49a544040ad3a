package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/sasl"
	saslaws "github.com/twmb/franz-go/pkg/sasl/aws"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// mechanisms are those of WATCHINGCAT_KAFKA_SASL_MECHANISM.
const mechanisms = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM"

func (c Config) sasl() (sasl.Mechanism, error) {
	name := strings.ToUpper(c.SASLMechanism)
	user := c.SASLUsername != "" || c.SASLPassword != ""
	if c.OAuth.set() && name != "OAUTHBEARER" {
		return nil, errors.New("settings of WATCHINGCAT_KAFKA_OAUTH are set: set WATCHINGCAT_KAFKA_SASL_MECHANISM=OAUTHBEARER or remove them")
	}
	switch name {
	case "":
		if user {
			return nil, errors.New("a SASL user is set without a mechanism: set WATCHINGCAT_KAFKA_SASL_MECHANISM to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
		}
		return nil, nil
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		return c.password(name)
	case "OAUTHBEARER", "AWS_MSK_IAM":
		if user {
			return nil, fmt.Errorf("SASL %s takes no user and no password: remove WATCHINGCAT_KAFKA_SASL_USERNAME and WATCHINGCAT_KAFKA_SASL_PASSWORD", name)
		}
	default:
		return nil, fmt.Errorf("SASL mechanism %q is not known: use %s", c.SASLMechanism, mechanisms)
	}
	if name == "OAUTHBEARER" {
		o := c.OAuth
		return o.mechanism()
	}
	if !c.TLS {
		return nil, errors.New("SASL AWS_MSK_IAM works with TLS only: set WATCHINGCAT_KAFKA_TLS=true and the brokers' port for IAM (9098)")
	}
	return mskIAM()
}

func (c Config) password(mechanism string) (sasl.Mechanism, error) {
	if c.SASLUsername == "" || c.SASLPassword == "" {
		return nil, fmt.Errorf("SASL %s needs WATCHINGCAT_KAFKA_SASL_USERNAME and WATCHINGCAT_KAFKA_SASL_PASSWORD", mechanism)
	}
	user, password := c.SASLUsername, string(c.SASLPassword)
	switch mechanism {
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return saslplain.Auth{User: user, Pass: password}.AsMechanism(), nil
}

// mskIAM signs with the credentials of AWS' default chain: the environment, the profile, web identity (EKS), the container, the instance's
// role. The SDK renews them before they end.
func mskIAM() (sasl.Mechanism, error) {
	config, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration (AWS_PROFILE, AWS_CONFIG_FILE): %w", err)
	}
	return saslaws.ManagedStreamingIAM(func(ctx context.Context) (saslaws.Auth, error) {
		c, err := config.Credentials.Retrieve(ctx)
		if err != nil {
			return saslaws.Auth{}, fmt.Errorf("no AWS credentials (environment, AWS_PROFILE, web identity, role of the container or the instance): %w", err)
		}
		return saslaws.Auth{AccessKey: c.AccessKeyID, SecretKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	}), nil
}
