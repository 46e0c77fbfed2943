//! The hub that is measured: a data folder, a gestionale's home and a configuration, on one file system.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sample;
use crate::clock::new_uuid;
use crate::config::{self, LoadedConfig};
use crate::domain::ids::BatchId;
use crate::intake::claim::WORK;
use crate::intake::names::work_name;
use crate::text::it;

/// Name of the gestionale.
pub const SOURCE: &str = "banco";

/// What is configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub enti: Vec<String>,
    pub send_url: String,
    /// Acts wait for an operator.
    pub held: bool,
    /// Pages are counted and limited.
    pub light_mail: bool,
}

impl Plan {
    /// A hub that sends nothing, to nobody.
    pub fn silent(enti: Vec<String>, light_mail: bool) -> Plan {
        Plan { enti, send_url: "http://127.0.0.1:9".to_owned(), held: true, light_mail }
    }
}

/// The folders of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct House {
    pub dir: PathBuf,
}

impl House {
    /// Makes them, with the configuration.
    pub fn build(dir: &Path, plan: &Plan) -> Result<House, String> {
        let house = House { dir: dir.to_owned() };
        house.write(plan).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(house)
    }

    fn write(&self, plan: &Plan) -> std::io::Result<()> {
        for folder in ["dati", "flussi", "segreti", "casa"] {
            fs::create_dir_all(self.dir.join(folder))?;
        }
        fs::create_dir_all(self.root().join(WORK))?;
        fs::write(self.dir.join("flussi").join(format!("{}.toml", sample::FLOW)), flow(plan))?;
        let mut text = "data = \"dati\"\nflows = \"flussi\"\ninstallation = \"banco\"\n".to_owned();
        for tax_id in &plan.enti {
            text.push_str(&format!(
                "\n[[ente]]\ntax_id = \"{tax_id}\"\ndenomination = \"Comune di Prova {tax_id}\"\nambiente = \"collaudo\"\nsend_url = \"{}\"\n\
                 quota = {{ per_second = 0, burst = 0, per_day = 0, spend_cents_per_day = 0 }}\n\n[[ente.key]]\nid = \"generale\"\n\
                 secret = \"file:segreti/{tax_id}\"\n",
                plan.send_url
            ));
            let secret = self.dir.join("segreti").join(tax_id);
            fs::write(&secret, format!("{tax_id}-banco\n"))?;
            fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        }
        let enti: Vec<String> = plan.enti.iter().map(|tax_id| format!("\"{tax_id}\"")).collect();
        text.push_str(&format!(
            "\n[[gestionale]]\nname = \"{SOURCE}\"\nroot = \"casa\"\nenti = [{}]\nflows = [\"{flow}\"]\ndefault_flow = \"{flow}\"\n",
            enti.join(", "),
            flow = sample::FLOW,
        ));
        fs::write(self.config_file(), text)
    }

    /// Adds lines to the end of the configuration.
    pub fn append(&self, text: &str) -> Result<(), String> {
        let file = fs::OpenOptions::new().append(true).open(self.config_file());
        file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).map_err(|error| error.to_string())
    }

    fn config_file(&self) -> PathBuf {
        self.dir.join("messo.toml")
    }

    /// The home of the gestionale.
    pub fn root(&self) -> PathBuf {
        self.dir.join("casa")
    }

    /// The configuration, as `messo run` reads it.
    pub fn load(&self) -> Result<LoadedConfig, String> {
        config::load(&self.config_file()).map_err(|problems| it::config::lines(&problems))
    }

    /// Puts an archive where the watcher leaves a file that it has claimed at the end of the stability window: the hub finds it
    /// as it starts. A second name of the same bytes.
    pub fn hand_over(&self, archive: &Path) -> Result<BatchId, String> {
        let id = BatchId(new_uuid());
        let name = work_name(id, None, false, "lotto.zip");
        let path = self.root().join(WORK).join(name);
        fs::hard_link(archive, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(id)
    }

    /// Files that the gestionale sees in one of its folders.
    pub fn visible(&self, folder: &str) -> usize {
        let entries = fs::read_dir(self.root().join(folder)).into_iter().flatten().flatten();
        entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")).count()
    }
}

/// The guard is off: it waits only for batches of more than ten thousand acts.
fn flow(plan: &Plan) -> String {
    format!(
        "name = \"{}\"\ntitle = \"Banco di prova\"\ntaxonomy_code = \"010101P\"\ncommunication_type = \"REGISTERED_LETTER_890\"\n\
         fee_policy = \"DELIVERY_MODE\"\npago_pa_int_mode = \"SYNC\"\npa_fee = 100\nvat = 22\npayment = \"required\"\nnotify_within_days = 90\n\
         outcome_minutes = 120\n\n[sending]\nwhen = \"{}\"\n\n[checks]\nlight_mail = {}\n\n[guard]\nfirst_acts = 10000\n",
        sample::FLOW,
        if plan.held { "held" } else { "at_once" },
        plan.light_mail
    )
}
