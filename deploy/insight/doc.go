// Command insight measures how often the evidence of an alert names the service at fault, on faults that were injected into real systems.
//
// It reads a folder of the public data set Nezha (FSE 2023): spans, log lines and pod metrics of Online Boutique and of Train Ticket as
// CSV, one file a minute, with the time, pod and kind of each fault. For each fault it converts a minute without a fault and the minutes
// after the injection to OTLP, folds them into views as the pipeline does, evaluates a rule about the entry of the system and reads the
// evidence of the alert. It counts strictly: a tie with another service is not a first place.
package main
