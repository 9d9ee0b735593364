"""The guided reject test: test pieces and provoked failures, judged from the journal, with a signed report."""
