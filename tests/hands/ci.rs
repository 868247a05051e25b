//! The GitHub Action, the GitLab example and the Debian package.
