//! The contract proxy between messo and a simulator: it holds every exchange against the official OpenAPI or WSDL.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::process::{Child, free_port, wait_for};
use super::programs::{python, require_python, shared_dir};

/// A running proxy. Point the client at [`ContractProxy::url`], then [`ContractProxy::stop`] for the verdict.
pub struct ContractProxy {
    child: Child,
    listen: SocketAddr,
    report: tempfile::TempDir,
}

/// One exchange that passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Exchange {
    /// SOAP is always POST, and not told.
    #[serde(default)]
    pub method: String,
    pub path: String,
    /// `operationId`, or the name of the SOAP payload; none when the contract knows no such call.
    pub operation: Option<String>,
    pub status: u16,
    /// Of either side; empty when both kept to the contract.
    pub violations: Vec<String>,
}

/// What the proxy saw.
#[derive(Debug, Clone)]
pub struct ContractReport {
    pub exchanges: Vec<Exchange>,
}

impl ContractProxy {
    /// Starts the REST proxy in front of `upstream` with SEND's released sender bundle. `None`: skipped, already said.
    pub fn start(upstream: SocketAddr) -> Option<ContractProxy> {
        ContractProxy::start_with(upstream, None)
    }

    /// As [`ContractProxy::start`], with another specification and the base path in front of its paths.
    pub fn start_with(upstream: SocketAddr, specification: Option<(PathBuf, &str)>) -> Option<ContractProxy> {
        let shared = shared_dir()?;
        if !require_python(&["aiohttp", "jsonschema", "rfc3339_validator", "yaml"]) {
            return None;
        }
        let more =
            specification.map_or_else(Vec::new, |(file, base)| vec!["--spec".into(), file.into_os_string(), "--base".into(), base.into()]);
        Some(ContractProxy::run(&shared.join("contract/rest_proxy.py"), upstream, more))
    }

    /// Starts the SOAP proxy in front of `upstream` with the schemas of a WSDL. `None`: skipped, already said.
    pub fn soap(upstream: SocketAddr, wsdl: &Path) -> Option<ContractProxy> {
        let shared = shared_dir()?;
        if !require_python(&["aiohttp", "lxml"]) {
            return None;
        }
        Some(ContractProxy::run(&shared.join("contract/soap_proxy.py"), upstream, vec!["--wsdl".into(), wsdl.into()]))
    }

    fn run(script: &Path, upstream: SocketAddr, more: Vec<OsString>) -> ContractProxy {
        let report = tempfile::tempdir().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(python());
        command.arg(script);
        command.args(["--listen", &listen.to_string(), "--upstream", &format!("http://{upstream}"), "--report"]);
        command.arg(report.path().join("exchanges.jsonl")).args(more);
        let mut child = Child::spawn("contract proxy", &mut command);
        // Reading the whole OpenAPI takes Python seconds, more on a busy machine.
        wait_for("the contract proxy listens", Duration::from_secs(90), || {
            assert!(child.try_wait().is_none(), "contract proxy ended:\n{}", child.output());
            TcpStream::connect_timeout(&listen, Duration::from_millis(200)).ok()
        });
        ContractProxy { child, listen, report }
    }

    /// Where the client must call.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Stops the proxy and reads what it wrote.
    pub fn stop(mut self) -> ContractReport {
        self.child.terminate(Duration::from_secs(90));
        let lines = fs::read_to_string(self.report.path().join("exchanges.jsonl")).unwrap();
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("report line {line:?}: {error}"));
        ContractReport { exchanges: lines.lines().map(read).collect() }
    }
}

impl ContractReport {
    /// How many times each operation was called.
    pub fn operations(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for exchange in &self.exchanges {
            *count.entry(exchange.operation.clone().unwrap_or_else(|| "unknown".into())).or_default() += 1;
        }
        count
    }

    /// Fails unless there was traffic, all of it within the contract, and every one of `operations` was called.
    pub fn assert_clean(&self, operations: &[&str]) {
        let seen = self.operations();
        let broken: Vec<String> = self.exchanges.iter().filter(|exchange| !exchange.violations.is_empty()).map(Exchange::line).collect();
        let shown = broken.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(broken.is_empty(), "{} of {} exchanges break the contract:\n{shown}", broken.len(), self.exchanges.len());
        assert!(!self.exchanges.is_empty(), "no traffic passed the contract proxy");
        let missing: Vec<&&str> = operations.iter().filter(|operation| !seen.contains_key(**operation)).collect();
        assert!(missing.is_empty(), "operations never called: {missing:?}; called: {seen:?}");
    }
}

impl Exchange {
    fn line(&self) -> String {
        format!(
            "{} {} -> {} ({}): {}",
            self.method,
            self.path,
            self.status,
            self.operation.as_deref().unwrap_or("unknown"),
            self.violations.join("; ")
        )
    }
}
