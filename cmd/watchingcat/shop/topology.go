package shop

// The shop: who offers what, how long its own work takes and whom it calls. Times are medians in milliseconds.

type proto uint8

const (
	http proto = iota
	grpc
	consume // a message handler
)

type operation struct {
	service, name string
	proto         proto
	ms            float64
	calls         []call
}

// call is one thing an operation does, with its probability. Exactly one of op, db and topic is set, or host for a call to
// an API of another company.
type call struct {
	p     float64
	op    string // service/name
	db    *dbCall
	topic string
	host  string
}

type dbCall struct {
	system, name, query string
	ms                  float64
}

// pods is how many there are of services that have more than one.
var pods = map[string]int{"payment": 5, "cart": 5, "shipping": 5}

// namespaces are those of the services' teams.
var namespaces = map[string]string{
	"frontend": "storefront", "mobile-gateway": "storefront", "ads": "storefront", "search": "storefront", "recommendation": "storefront",
	"catalog": "catalog", "review": "catalog", "pricing": "catalog", "currency": "catalog",
	"cart": "orders", "checkout": "orders", "shipping": "orders", "tax": "orders", "inventory": "orders", "warehouse": "orders",
	"email": "orders", "invoice": "orders",
	"payment": "payments", "fraud": "payments",
	"auth": "accounts", "accounts": "accounts", "loyalty": "accounts",
}

// paying are the operations whose spans have the currency of the request.
var paying = map[string]bool{"POST /checkout": true, "PlaceOrder": true, "Charge": true}

var (
	orders   = &dbCall{"postgresql", "orders", "INSERT orders", 4}
	users    = &dbCall{"postgresql", "users", "SELECT users", 2}
	products = &dbCall{"postgresql", "products", "SELECT products", 3}
	reviews  = &dbCall{"mongodb", "reviews", "find reviews", 5}
	stock    = &dbCall{"mysql", "stock", "UPDATE stock", 3}
	cache    = &dbCall{"redis", "", "GET", 0.4}
)

const mobile = "mobile-gateway/GET /home"

// entries are where requests come in, with their share of the traffic.
var entries = []struct {
	share float64
	op    string
}{
	{0.45, "frontend/GET /product/{id}"}, {0.20, "frontend/GET /search"}, {0.15, "frontend/GET /cart"}, {0.10, "frontend/POST /cart"},
	{0.07, "frontend/POST /checkout"}, {0.03, mobile},
}

var operations = []operation{
	{"frontend", "GET /product/{id}", http, 6,
		[]call{{1, "catalog/GetProduct", nil, "", ""}, {0.9, "recommendation/List", nil, "", ""}, {0.7, "review/ListReviews", nil, "", ""},
			{0.5, "ads/GetAds", nil, "", ""}}},
	{"frontend", "GET /search", http, 5, []call{{1, "search/Query", nil, "", ""}, {0.3, "ads/GetAds", nil, "", ""}}},
	{"frontend", "GET /cart", http, 4, []call{{1, "auth/Verify", nil, "", ""}, {1, "cart/GetCart", nil, "", ""},
		{1, "currency/Convert", nil, "", ""}}},
	{"frontend", "POST /cart", http, 4, []call{{1, "auth/Verify", nil, "", ""}, {1, "cart/AddItem", nil, "", ""}}},
	{"frontend", "POST /checkout", http, 8, []call{{1, "auth/Verify", nil, "", ""}, {1, "checkout/PlaceOrder", nil, "", ""}}},
	{"mobile-gateway", "GET /home", http, 5, []call{{1, "recommendation/List", nil, "", ""}, {1, "loyalty/GetPoints", nil, "", ""}}},
	{"catalog", "GetProduct", grpc, 2, []call{{1, "", cache, "", ""}, {0.3, "", products, "", ""}, {0.8, "pricing/GetPrice", nil, "", ""}}},
	{"recommendation", "List", grpc, 9, []call{{1, "catalog/GetProduct", nil, "", ""}, {1, "", cache, "", ""}}},
	{"review", "ListReviews", http, 3, []call{{1, "", reviews, "", ""}}},
	{"ads", "GetAds", grpc, 4, []call{{0.6, "", cache, "", ""}}},
	{"search", "Query", http, 22, []call{{1, "catalog/GetProduct", nil, "", ""}, {0.4, "pricing/GetPrice", nil, "", ""}}},
	{"auth", "Verify", grpc, 1, []call{{1, "", cache, "", ""}, {0.2, "accounts/GetUser", nil, "", ""}}},
	{"accounts", "GetUser", grpc, 1.5, []call{{1, "", users, "", ""}}},
	{"cart", "GetCart", grpc, 1.5, []call{{1, "", cache, "", ""}}},
	{"cart", "AddItem", grpc, 2, []call{{1, "", cache, "", ""}, {1, "inventory/Check", nil, "", ""}}},
	{"currency", "Convert", grpc, 0.6, nil},
	{"pricing", "GetPrice", grpc, 1, []call{{1, "", cache, "", ""}, {0.2, "currency/Convert", nil, "", ""}}},
	{"inventory", "Check", http, 2, []call{{1, "", stock, "", ""}}},
	{"inventory", "Reserve", http, 3, []call{{1, "", stock, "", ""}}},
	{"checkout", "PlaceOrder", grpc, 7, []call{{1, "cart/GetCart", nil, "", ""}, {1, "inventory/Reserve", nil, "", ""},
		{1, "shipping/Quote", nil, "", ""}, {1, "payment/Charge", nil, "", ""}, {1, "", orders, "", ""}, {1, "", nil, "orders", ""}}},
	{"shipping", "Quote", http, 5, []call{{1, "tax/Compute", nil, "", ""}}},
	{"tax", "Compute", grpc, 1.2, nil},
	{"payment", "Charge", grpc, 6, []call{{1, "fraud/Score", nil, "", ""}, {1, "", nil, "", "api.bank.example"}}},
	{"fraud", "Score", grpc, 8, []call{{1, "", cache, "", ""}}},
	{"loyalty", "GetPoints", http, 2, []call{{1, "accounts/GetUser", nil, "", ""}}},
	{"email", "orders process", consume, 12, nil},
	{"warehouse", "orders process", consume, 9, []call{{1, "inventory/Check", nil, "", ""}}},
	{"invoice", "orders process", consume, 15, []call{{1, "", orders, "", ""}}},
}

// subscribers are the handlers of each topic.
var subscribers = map[string][]string{"orders": {"email/orders process", "warehouse/orders process", "invoice/orders process"}}
