//! What letters cost and how the post reports on them, by product.

use super::model::Product;

/// Euro cents of the letters the simulator sends, net of VAT.
const COST_AR: i32 = 530;
const COST_890: i32 = 980;
const COST_FOREIGN: i32 = 1_040;
const COST_SIMPLE: i32 = 420;
const COST_SIMPLE_FOREIGN: i32 = 700;

/// Postal codes by product (`send.md` 5).
#[derive(Debug)]
pub struct Codes {
    /// Euro cents, net of VAT.
    pub cost: i32,
    /// Of the simple letter after a digital failure.
    pub simple_cost: i32,
    pub simple_delivered: &'static str,
    pub delivered: &'static str,
    pub delivered_scan: &'static str,
    pub other_scan: &'static str,
    pub undelivered: &'static str,
    pub untraceable: &'static str,
    pub storage: &'static str,
    pub collected: &'static str,
    pub force_majeure: &'static str,
    pub unaccounted: &'static str,
}

impl Codes {
    /// Those of a product.
    pub fn of(product: Product) -> &'static Codes {
        match product {
            Product::Ar => &Codes {
                cost: COST_AR,
                simple_cost: COST_SIMPLE,
                simple_delivered: "RECRS001C",
                delivered: "RECRN001C",
                delivered_scan: "RECRN001B",
                other_scan: "RECRN002E",
                undelivered: "RECRN002C",
                untraceable: "RECRN002F",
                storage: "RECRN010",
                collected: "RECRN003C",
                force_majeure: "RECRN015",
                unaccounted: "RECRN013",
            },
            Product::Act890 => &Codes {
                cost: COST_890,
                simple_cost: COST_SIMPLE,
                simple_delivered: "RECRS001C",
                delivered: "RECAG001C",
                delivered_scan: "RECAG001B",
                other_scan: "RECAG003E",
                undelivered: "RECAG003C",
                untraceable: "RECAG003F",
                storage: "RECAG010",
                collected: "RECAG005C",
                force_majeure: "RECAG015",
                unaccounted: "RECAG013",
            },
            Product::Foreign => &Codes {
                cost: COST_FOREIGN,
                simple_cost: COST_SIMPLE_FOREIGN,
                simple_delivered: "RECRSI003C",
                delivered: "RECRI003C",
                delivered_scan: "RECRI003B",
                other_scan: "RECRI004B",
                undelivered: "RECRI004C",
                untraceable: "RECRI004C",
                storage: "RECRI002",
                collected: "RECRI003C",
                force_majeure: "RECRI005",
                unaccounted: "RECRI005",
            },
        }
    }
}
